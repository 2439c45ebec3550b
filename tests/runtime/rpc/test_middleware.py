"""What surrounds every call on both channels: its id, trace, token, metrics and log line."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError
from opentelemetry import trace
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, GetBalanceResponse
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from payments.orchestrator.v1.orchestrator_service_pb2 import CapturePaymentRequest

from services.kernel.errors import DeadlineExceeded, NotFound, Reason, Unauthenticated
from services.runtime.rpc import (
    Middleware,
    Registry,
    connect,
    connect_in_process,
    typed_errors,
)
from services.runtime.telemetry import (
    Telemetry,
    bind_context,
    bound,
    configure_logging,
    current_traceparent,
)
from tests.runtime.rpc.house import (
    LEDGER,
    TOKEN,
    Context,
    House,
    Kind,
    balance_of,
    health,
    open_house,
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"


async def tell_request_id(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
    return balance_of(bound()["request_id"])


async def tell_trace(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
    return balance_of(current_traceparent() or "none")


async def answer_to(house: House, **metadata: str) -> str:
    pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    response = await house.stub.GetBalance(GetBalanceRequest(), metadata=pairs)
    return response.balance.account


async def test_request_id_of_the_caller_is_kept(house: House) -> None:
    house.ledger.answer = tell_request_id
    assert await answer_to(house, x_request_id="req_from-outside") == "req_from-outside"
    assert house.call_lines()[-1]["request_id"] == "req_from-outside"


async def test_call_without_a_request_id_is_given_one(house: House) -> None:
    house.ledger.answer = tell_request_id
    first, second = await answer_to(house), await answer_to(house)
    assert first.startswith("req_")
    assert first != second


@pytest.mark.parametrize("shown", ["x" * 101, "has spaces", '{"json":1}'])
async def test_request_id_that_could_forge_a_log_is_replaced(house: House, shown: str) -> None:
    house.ledger.answer = tell_request_id
    assert (await answer_to(house, x_request_id=shown)).startswith("req_")


async def test_request_id_and_trace_go_on_to_the_next_hop(house: House) -> None:
    seen: list[tuple[str, str | None]] = []

    async def hop(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        seen.append((bound()["request_id"], current_traceparent()))
        if request.account != "last":
            await house.stub.GetBalance(GetBalanceRequest(account="last"))
        return GetBalanceResponse()

    house.ledger.answer = hop
    await answer_to(house, x_request_id="req_1", traceparent=UNSAMPLED)
    (first_id, first_trace), (second_id, second_trace) = seen
    assert first_id == second_id == "req_1"
    assert first_trace == second_trace == UNSAMPLED, "nothing is added to what is not recorded"


async def test_words_bound_by_one_call_are_not_in_the_next(house: House) -> None:
    async def bind(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        before = bound().get("payment_id", "nothing")
        bind_context(payment_id="pay_1")
        return balance_of(before)

    house.ledger.answer = bind
    assert [await answer_to(house), await answer_to(house)] == ["nothing", "nothing"]
    assert [line["payment_id"] for line in house.call_lines()] == ["pay_1", "pay_1"]


async def test_words_bound_where_the_server_was_started_do_not_reach_its_calls(kind: Kind) -> None:
    bind_context(payment_id="pay_of-the-starter")
    async with open_house(kind) as house:
        await answer_to(house)
        (line,) = house.call_lines()
    assert "payment_id" not in line


async def test_sampled_parent_makes_a_span_and_a_child_of_it(house: House) -> None:
    async def work(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        with house.telemetry.tracing.span("post", {"entry": "1"}):
            return GetBalanceResponse()

    house.ledger.answer = work
    await answer_to(house, traceparent=SAMPLED, x_request_id="req_1")
    child, served = house.spans()
    assert (served.name, served.kind) == (f"{LEDGER}/GetBalance", trace.SpanKind.SERVER)
    assert served.attributes == {"request_id": "req_1"}
    assert served.parent is not None
    assert f"{served.parent.span_id:016x}" == "b7ad6b7169203331"
    assert child.name == "post"
    assert child.parent is not None
    assert child.parent.span_id == served.context.span_id
    assert f"{child.context.trace_id:032x}" == TRACE_ID


async def test_unsampled_parent_makes_no_span_and_keeps_its_trace_id(house: House) -> None:
    house.ledger.answer = tell_trace
    header = await answer_to(house, traceparent=UNSAMPLED)
    assert house.spans() == ()
    assert header.split("-")[1] == TRACE_ID
    assert header.endswith("-00")
    assert house.call_lines()[-1]["trace_id"] == TRACE_ID


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE_ID}-b7ad6b7169203331-01"],
)
async def test_traceparent_that_is_none_begins_a_trace(house: House, header: str) -> None:
    house.ledger.answer = tell_trace
    begun = await answer_to(house, traceparent=header)
    assert begun.startswith("00-")
    assert TRACE_ID not in begun
    assert "0" * 32 not in begun


async def test_everything_is_sampled_when_the_ratio_says_so(kind: Kind) -> None:
    async with open_house(kind, sample_ratio=1.0) as house:
        await answer_to(house)
        (span,) = house.spans()
        assert span.status.is_ok or span.status.is_unset


async def test_failed_call_is_marked_on_its_span(kind: Kind) -> None:
    async def fail(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise NotFound("no such account")

    async with open_house(kind, sample_ratio=1.0) as house:
        house.ledger.answer = fail
        with pytest.raises(AioRpcError):
            await answer_to(house)
        (span,) = house.spans()
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.status.description == "NOT_FOUND"


async def test_health_check_needs_no_deadline_no_token_and_makes_no_span(kind: Kind) -> None:
    async with open_house(kind, sample_ratio=1.0) as house:
        assert await health(house.bare_channel, LEDGER) == "SERVING"
        assert house.spans() == ()
        assert house.call_lines() == []
        assert house.calls_counted("OK", "Check", "grpc.health.v1.Health") == 1


async def test_calls_are_counted_by_code_and_timed(house: House) -> None:
    async def fail(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise NotFound("no such account")

    await answer_to(house)
    house.ledger.answer = fail
    with pytest.raises(AioRpcError):
        await answer_to(house)
    assert (house.calls_counted("OK"), house.calls_counted("NOT_FOUND")) == (1, 1)
    labels = {"service": LEDGER, "method": "GetBalance"}
    sample = house.telemetry.registry.get_sample_value
    assert sample("rpc_duration_seconds_count", labels) == 2


async def test_method_nobody_serves_adds_no_label(house: House) -> None:
    with pytest.raises(AioRpcError):
        await house.channel.unary_unary("/made.Up/Name", bytes, bytes)(b"")
    labels = [s.labels for m in house.telemetry.registry.collect() for s in m.samples]
    assert all(label.get("service") != "made.Up" for label in labels)


@pytest.mark.parametrize(
    ("error", "level"),
    [(None, "debug"), (NotFound("no such account"), "info"), (KeyError("bug"), "error")],
)
async def test_call_is_one_line_and_the_worse_the_louder(
    house: House, error: Exception | None, level: str
) -> None:
    async def work(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        if error is not None:
            raise error
        return GetBalanceResponse()

    house.ledger.answer = work
    await asyncio.wait([asyncio.ensure_future(answer_to(house))])
    (line,) = house.call_lines()
    assert line["level"] == level
    assert (line["service"], line["method"]) == (LEDGER, "GetBalance")
    assert line["duration_ms"] > 0
    assert len(line["trace_id"]) == 32
    assert len(line["span_id"]) == 16


@pytest.mark.parametrize("shown", [None, "Bearer wrong", TOKEN, f"bearer {TOKEN}"])
async def test_network_caller_without_the_token_is_refused(shown: str | None) -> None:
    async with open_house("network") as house:
        metadata = (("authorization", shown),) if shown else ()
        with pytest.raises(Unauthenticated) as refusal, typed_errors():
            await house.bare_stub.GetBalance(GetBalanceRequest(), timeout=10, metadata=metadata)
        assert refusal.value.reason is Reason.UNAUTHENTICATED
        assert TOKEN not in refusal.value.message


async def test_wrong_token_is_told_before_the_missing_deadline() -> None:
    async with open_house("network") as house:
        with pytest.raises(Unauthenticated), typed_errors():
            await house.bare_stub.GetBalance(GetBalanceRequest())


async def test_connect_shows_its_token() -> None:
    async with open_house("network") as house, connect(house.address, token="wrong") as channel:  # noqa: S106
        call = channel.unary_unary(f"/{LEDGER}/GetBalance", bytes, bytes)
        with pytest.raises(AioRpcError) as refusal:
            await call(b"")
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_process_trusts_itself_without_a_token() -> None:
    async with open_house("in-process") as house:
        await house.bare_stub.GetBalance(GetBalanceRequest(), timeout=10)


async def test_server_without_a_token_lets_no_network_caller_in() -> None:
    async with open_house("network") as house:
        house.registry.middleware._authorization = None
        with pytest.raises(Unauthenticated), typed_errors():
            await house.stub.GetBalance(GetBalanceRequest())


def test_service_is_registered_once(house: House) -> None:
    handlers = {"Get": grpc.unary_unary_rpc_method_handler(lambda *_: None, bytes, bytes)}
    with pytest.raises(ValueError, match="registered already"):
        house.registry.add_registered_method_handlers(LEDGER, handlers)


def test_method_that_takes_a_stream_is_refused_at_registration() -> None:
    registry = Registry(Middleware(Telemetry.create("test")))
    handlers = {"Pour": grpc.stream_unary_rpc_method_handler(lambda *_: None, bytes, bytes)}
    with pytest.raises(ValueError, match=r"a\.B/Pour must take one protobuf message"):
        registry.add_registered_method_handlers("a.B", handlers)


def test_handler_that_would_block_the_loop_is_refused_at_registration() -> None:
    registry = Registry(Middleware(Telemetry.create("test")))
    handlers = {"Get": grpc.unary_unary_rpc_method_handler(lambda *_: None, bytes, bytes)}
    with pytest.raises(TypeError, match=r"a\.B/Get must be `async def`"):
        registry.add_registered_method_handlers("a.B", handlers)


async def named(merchant_id: str, payment_id: str, **headers: str) -> tuple[Any, Any]:
    """The log line and the span of a call whose request names these ids."""

    async def answer(request: CapturePaymentRequest, _: Context) -> CapturePaymentRequest:
        return request

    handler = grpc.unary_unary_rpc_method_handler(
        answer, CapturePaymentRequest.FromString, CapturePaymentRequest.SerializeToString
    )
    # A server's methods are fixed once it has started: this one is reached in process alone.
    async with open_house("in-process", sample_ratio=1.0) as house:
        house.registry.add_registered_method_handlers("a.B", {"Capture": handler})
        call = house.channel.unary_unary(
            "/a.B/Capture",
            CapturePaymentRequest.SerializeToString,
            CapturePaymentRequest.FromString,
        )
        request = CapturePaymentRequest(merchant_id=merchant_id, payment_id=payment_id)
        await call(request, metadata=tuple(headers.items()))
        (line,), (span,) = house.call_lines(), house.spans()
        return line, span


async def test_ids_that_a_request_names_are_in_its_log_line_and_span() -> None:
    line, span = await named("mer_1", f"pay_{'a' * 32}")
    assert (line["merchant_id"], line["payment_id"]) == ("mer_1", f"pay_{'a' * 32}")
    assert span.attributes["merchant_id"] == "mer_1"
    assert span.attributes["payment_id"] == line["payment_id"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("p" * 500, "p" * 80),
        ("pay\n\u2028<b>\U0001f600", "pay???b??"),
        ("4242 4242 4242 4242", "[card number]"),
        ("x" * 70 + "4242424242424242", "x" * 70 + "[card numb"),
        ("x" * 66 + " 4242424242424242", "x" * 66 + " [card number]"),
    ],
)
async def test_what_is_sent_for_an_id_is_made_short_and_harmless(sent: str, shown: str) -> None:
    line, span = await named(sent, sent)
    assert line["payment_id"] == line["merchant_id"] == shown
    assert span.attributes["payment_id"] == span.attributes["merchant_id"] == shown


async def test_card_number_that_is_sent_for_a_request_id_is_nobody_s_id() -> None:
    line, span = await named("mer_1", "pay_1", **{"x-request-id": "4242424242424242"})
    assert line["request_id"] == span.attributes["request_id"]
    assert line["request_id"].startswith("req_")


async def test_success_is_not_worth_a_line_at_level_info(house: House) -> None:
    configure_logging("house", level="info", stream=house.logs)
    registry = Registry(Middleware(house.telemetry))
    registry.register(add_LedgerServiceServicer_to_server, house.ledger)
    async with connect_in_process(registry) as channel:
        await LedgerServiceStub(channel).GetBalance(GetBalanceRequest())
        assert house.call_lines() == []


async def test_handler_that_times_out_at_the_deadline_exceeded_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise TimeoutError

    # However near the deadline is taken to be, the caller must not get there first.
    monkeypatch.setattr("services.runtime.rpc.middleware._DEADLINE_MARGIN_SECONDS", 1000)
    house.ledger.answer = give_up
    with pytest.raises(DeadlineExceeded, match="before there was an answer"), typed_errors():
        await house.stub.GetBalance(GetBalanceRequest())
