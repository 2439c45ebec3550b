"""Whatever an adapter does, the answer is a Result, in time; what cannot be asked is refused."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from google.protobuf.json_format import MessageToJson
from payments.core.v1 import operation_pb2, payment_method_pb2
from payments.processor.v1 import attempt_pb2
from payments.processor.v1 import processor_service_pb2 as pb

from services.kernel.clock import SystemClock
from services.kernel.context import PaymentMethod
from services.kernel.errors import InvalidArgument, Reason, SwitchyardError, Unavailable
from services.kernel.ids import PaymentId
from services.kernel.outcome import Outcome
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.adapters.simulated.faults import SeededFaults
from services.processor.domain.attempt import Attempt
from services.processor.domain.event import EventPage, EventWindow
from services.processor.domain.raw import keepable
from services.processor.domain.verdict import NoAnswer, NotSent, Verdict
from services.processor.service.processors import Processors
from services.processor.translate import attempt_from_message
from services.runtime.rpc import typed_errors
from tests.processor.conftest import behind_door, processor
from tests.processor.house import House, error_code, outcome

Act = Callable[[], Awaitable[Any]]


class Broken(SimulatedAdapter):
    """An adapter of which every method does the same wrong thing."""

    def __init__(self, act: Act) -> None:
        super().__init__(SystemClock(), SeededFaults(0, {}, max_keys=1))
        self._act = act

    async def authorize(self, attempt: Attempt, key: str) -> Verdict:
        verdict: Verdict = await self._act()
        return verdict

    capture = void = refund = authorize

    async def lookup(self, attempt: Attempt, key: str | None) -> Verdict:
        verdict: Verdict = await self._act()
        return verdict

    async def list_events(self, window: EventWindow, after: str | None, limit: int) -> EventPage:
        page: EventPage = await self._act()
        return page


def raising(error: BaseException) -> Act:
    async def act() -> Any:
        raise error

    return act


def returning(value: object) -> Act:
    async def act() -> Any:
        return value

    return act


BREAKAGES = [
    raising(RuntimeError("a bug")),
    raising(KeyError("id")),
    raising(RecursionError()),
    raising(MemoryError()),
    raising(OSError(104, "reset")),
    raising(asyncio.CancelledError()),
    raising(InvalidArgument("the answer's currency is none")),
    raising(ExceptionGroup("many", [ValueError()])),
    returning(None),
    returning({"status": "succeeded"}),
    returning(Verdict(outcome=Outcome.SUCCEEDED)),
    returning(Verdict(outcome=Outcome.REQUIRES_ACTION)),
    returning(Verdict(outcome=Outcome.PENDING)),
]


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
@pytest.mark.parametrize("act", BREAKAGES)
async def test_whatever_an_adapter_does_the_answer_is_a_result_in_doubt(
    act: Act, operation: str
) -> None:
    one = processor("broken", Broken(act), methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "broken")
        attempt = house.attempt(operation, hold="" if operation == "authorize" else "pi_1")
        with structlog.testing.capture_logs() as logs:
            results = [await house.send(attempt), await house.lookup(attempt)]
    for result in results:
        assert (outcome(result), result.success, result.retryable) == ("UNKNOWN", False, False)
        assert result.raw or result.anomaly, "something is kept for explaining"
    assert "error" in {line["log_level"] for line in logs}


async def test_an_adapter_that_never_answers_is_left_in_time() -> None:
    service = Processors(
        [processor("slow", Broken(asyncio.Event().wait), methods=[PaymentMethod.CARD])],
        SystemClock(),
        timeout=timedelta(milliseconds=200),
    )
    message = House(None, "slow").attempt("authorize")  # type: ignore[arg-type]  # it is not sent
    started_at = time.monotonic()
    result = await service.execute(attempt_from_message(message), "key")
    assert result.verdict.outcome is Outcome.UNKNOWN
    assert time.monotonic() - started_at < 20
    with pytest.raises(Unavailable) as refused:
        await service.list_events("slow", EventWindow(), None, 10)
    assert refused.value.reason is Reason.PROCESSOR_UNAVAILABLE


async def test_a_caller_that_leaves_is_not_answered() -> None:
    one = processor("slow", Broken(asyncio.Event().wait), methods=[PaymentMethod.CARD])
    service = Processors([one], SystemClock())
    message = House(None, "slow").attempt("authorize")  # type: ignore[arg-type]  # it is not sent
    call = asyncio.create_task(service.execute(attempt_from_message(message), "key"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_processor_not_reached_has_failed_the_attempt_but_not_the_lookup() -> None:
    one = processor("away", Broken(raising(NotSent("refused"))), methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "away")
        attempt = house.attempt("authorize")
        sent, found = await house.send(attempt), await house.lookup(attempt)
    assert (outcome(sent), error_code(sent), sent.retryable) == ("FAILED", "NETWORK_FAILURE", True)
    assert (outcome(found), found.retryable) == ("UNKNOWN", False)


@pytest.mark.parametrize("trouble", [NotSent("refused"), NoAnswer("lost"), TimeoutError()])
async def test_events_that_cannot_be_listed_are_unavailable(trouble: Exception) -> None:
    one = processor("away", Broken(raising(trouble)), methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        with pytest.raises(Unavailable) as refused, typed_errors():
            await House(stub, "away").events()
    assert refused.value.reason is Reason.PROCESSOR_UNAVAILABLE


def _without_token(attempt: attempt_pb2.Attempt) -> None:
    attempt.instrument.token = ""


def _free(attempt: attempt_pb2.Attempt) -> None:
    attempt.amount.amount_minor = 0


def _elsewhere(attempt: attempt_pb2.Attempt) -> None:
    attempt.id = PaymentId.new()


def _with_apple_pay(attempt: attempt_pb2.Attempt) -> None:
    attempt.instrument.method = payment_method_pb2.PAYMENT_METHOD_APPLE_PAY


def _other_operation(attempt: attempt_pb2.Attempt) -> None:
    attempt.operation = operation_pb2.OPERATION_LIST_EVENTS


def _path_for_hold(attempt: attempt_pb2.Attempt) -> None:
    attempt.processor_reference = "pi_1/../../refunds"


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (_without_token, "attempt.instrument.token"),
        (_free, "attempt.amount"),
        (_elsewhere, "id"),
        (_with_apple_pay, "attempt.instrument.method"),
        (_other_operation, "attempt.operation"),
        (_path_for_hold, "attempt.processor_reference"),
    ],
)
async def test_an_attempt_that_cannot_be_carried_out_is_refused(
    spoil: Callable[[attempt_pb2.Attempt], None], field: str
) -> None:
    adapter = Broken(raising(AssertionError("it must not be asked")))
    one = processor("never", adapter, methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        attempt = House(stub, "never").attempt("authorize")
        spoil(attempt)
        request = pb.AuthorizeRequest(attempt=attempt, idempotency_key="key")
        with pytest.raises(InvalidArgument) as refused, typed_errors():
            await stub.Authorize(request, timeout=30)
    assert field in [violation.field for violation in refused.value.violations]


@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
async def test_what_is_held_must_be_named(operation: str) -> None:
    one = processor("never", Broken(returning(None)), methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "never")
        with pytest.raises(InvalidArgument) as refused, typed_errors():
            await house.send(house.attempt(operation))
    assert "attempt.processor_reference" in [v.field for v in refused.value.violations]


@pytest.mark.parametrize("key", ["", "k" * 201, "clé", "a\nb"])
async def test_a_key_that_cannot_travel_is_refused(key: str) -> None:
    one = processor("never", Broken(returning(None)), methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        request = pb.AuthorizeRequest(
            attempt=House(stub, "never").attempt("authorize"), idempotency_key=key
        )
        with pytest.raises(SwitchyardError) as refused, typed_errors():
            await stub.Authorize(request, timeout=30)
    assert [v.field for v in refused.value.violations] == ["idempotency_key"]


async def test_processors_are_listed_in_pages_by_id() -> None:
    adapter = Broken(returning(None))
    three = [processor(name, adapter, methods=[PaymentMethod.CARD]) for name in ("c", "a", "b")]
    apple = replace(three[0].profile, id="d", methods=(PaymentMethod.APPLE_PAY,))
    async with behind_door([*three, replace(three[0], profile=apple)]) as stub:
        cards = payment_method_pb2.PAYMENT_METHOD_CARD
        first = await stub.ListProcessors(
            pb.ListProcessorsRequest(method=cards, page_size=2), timeout=30
        )
        assert [found.id for found in first.processors] == ["a", "b"]
        rest = await stub.ListProcessors(
            pb.ListProcessorsRequest(method=cards, page_token=first.next_page_token), timeout=30
        )
        assert [found.id for found in rest.processors] == ["c"]
        assert not rest.next_page_token
        with pytest.raises(InvalidArgument), typed_errors():
            await stub.ListProcessors(
                pb.ListProcessorsRequest(page_token=first.next_page_token), timeout=30
            )


def test_what_is_kept_of_an_answer_can_be_written_whatever_came() -> None:
    nested: Any = "bottom"
    for _ in range(500):
        nested = {"deeper": [nested]}
    hostile = {
        "huge": 10**400,
        "nan": math.nan,
        "infinite": -math.inf,
        "surrogate": "\ud800",
        "nested": nested,
        "long": "x" * 10_000,
        "many": list(range(10_000)),
        "client_secret": "hush",
        "card": {"number": "4242424242424242"},
        "nothing": None,
    }
    kept = keepable(hostile, {"client_secret"})
    message = pb.AuthorizeResponse()
    message.result.raw.update(dict[str, Any](kept))
    written = MessageToJson(pb.AuthorizeResponse.FromString(message.SerializeToString()))
    assert "hush" not in written
    assert "4242424242424242" not in written
    assert len(written) < 50_000
