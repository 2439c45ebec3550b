"""A payment from beginning to end, as its caller sees it and as the ledger has it."""

import asyncio
from typing import Any

import pytest
from payments.core.v1.error_code_pb2 import ErrorCode
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.orchestrator_service_pb2 import RESPONSE_MODE_ASYNC
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.result.v1.composite_result_pb2 import StepState
from payments.result.v1.result_pb2 import Result
from payments.router.v1.router_service_pb2_grpc import RouterServiceServicer

from services.kernel.context import CaptureMethod
from services.kernel.errors import Internal, InvalidArgument, SwitchyardError, Unavailable
from services.kernel.outcome import ErrorCode as Code
from tests.orchestrator.conftest import House, ScriptedHouse, kinds, running_house, simulated
from tests.orchestrator.orders import execution, succeeded
from tests.plan_builder.orders import MERCHANT, money
from tests.router.attempts import failed, unknown

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE


async def _booked(house: House, payment_id: str) -> PostingState.ValueType:
    async with asyncio.timeout(30):
        while True:
            state = (await house.get(payment_id)).posting_state
            if state != PostingState.POSTING_STATE_PENDING:
                return state
            await asyncio.sleep(0.01)


async def _reaches(house: House, state: str) -> None:
    async with asyncio.timeout(30):
        while True:
            (row,) = await house.rows("select state from payments.payments")
            if row["state"] == state:
                return
            await asyncio.sleep(0.01)


async def test_a_payment_is_authorized_captured_and_booked(house: House) -> None:
    payment = await house.execute(execution(user_id="ada", metadata={"order": "17"}))
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert payment.amount_captured.amount_minor == 10_000
    assert payment.amount_authorized.amount_minor == 0
    assert payment.platform_fee.amount_minor == 320
    assert payment.result.success
    assert payment.result.total_processed.amount_minor == 10_000
    (step,) = payment.result.step_results
    assert step.state == StepState.STEP_STATE_CAPTURED
    assert (step.processor_id, step.attempt_count) == ("simulated", 1)
    assert step.processor_reference
    assert (payment.user_id, dict(payment.metadata)) == ("ada", {"order": "17"})

    assert await _booked(house, payment.id) == PostingState.POSTING_STATE_POSTED
    assert await house.ledger_sums() == {
        "processor:simulated:clearing": -10_000,
        f"merchant:{MERCHANT}:payable": 9_680,
        "platform:fees": 320,
    }
    (transaction,) = await house.rows("select * from ledger.ledger_transactions")
    assert transaction["reference_id"] == payment.id
    assert transaction["idempotency_key"] == f"capture:{step.step_id}"


async def test_its_whole_way_is_written_down_and_told_in_order(house: House) -> None:
    payment = await house.execute(execution())
    ways = await house.rows(
        "select from_state, to_state, cause from payments.transitions order by position"
    )
    assert [(row["from_state"], row["to_state"]) for row in ways] == [
        (None, "created"),
        ("created", "confirming"),
        ("confirming", "authorized"),
        ("authorized", "captured"),
    ]
    assert [row["cause"].partition(":")[0] for row in ways] == ["request"] * 2 + ["attempt"] * 2
    told = await house.told()
    assert [envelope.WhichOneof("payload") for envelope in told] == [
        "payment_created",
        "step_succeeded",
        "payment_authorized",
        "payment_captured",
        "payment_completed",
    ]
    assert [envelope.sequence for envelope in told] == [1, 2, 3, 4, 5]
    assert {(envelope.payment_id, envelope.merchant_id) for envelope in told} == {
        (payment.id, MERCHANT)
    }
    assert payment.version == 5


async def test_a_payment_can_be_read_again_as_it_was_told(house: House) -> None:
    payment = await house.execute(execution(return_url="https://shop.example/back"))
    await _booked(house, payment.id)
    read = await house.get(payment.id)
    read.posting_state = payment.posting_state
    assert read == payment


async def test_a_decline_fails_the_payment_and_says_why(house: House) -> None:
    payment = await house.execute(execution(card="pm_card_chargeDeclinedInsufficientFunds"))
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    error = payment.result.final_error
    assert error.code == ErrorCode.ERROR_CODE_INSUFFICIENT_FUNDS
    assert error.decline_code == "insufficient_funds"
    assert error.user_message == "Card declined due to insufficient funds"
    assert not payment.result.success
    assert payment.result.remaining_amount.amount_minor == 10_000
    assert payment.posting_state == PostingState.POSTING_STATE_NONE
    assert await house.get(payment.id) == payment
    assert await house.count("postings") == 0
    (attempt,) = await house.rows("select * from payments.attempts")
    assert attempt["state"] == "failed"
    assert attempt["records"]


async def test_a_manual_payment_stays_authorized(house: House) -> None:
    manual = execution(capture_method=CaptureMethod.MANUAL)
    payment = await house.execute(manual)
    assert payment.state == PaymentState.PAYMENT_STATE_AUTHORIZED
    assert payment.amount_authorized.amount_minor == 10_000
    assert payment.amount_captured.amount_minor == 0
    assert house.calls == ["Authorize"]


async def test_a_customer_who_must_act_is_sent_on_their_way(house: House) -> None:
    payment = await house.execute(
        execution(card="pm_card_threeDSecure2Required", return_url="https://shop.example/back")
    )
    assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING
    assert payment.next_action.redirect.redirect_url
    assert payment.HasField("action_expires_at")
    assert not payment.in_doubt
    assert await house.get(payment.id) == payment


async def test_who_does_not_wait_is_told_at_once_and_the_payment_goes_on(house: House) -> None:
    payment = await house.execute(execution(mode=RESPONSE_MODE_ASYNC))
    assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING
    await _reaches(house, "captured")
    assert await house.execute(execution(mode=RESPONSE_MODE_ASYNC)) == payment


async def test_a_caller_who_leaves_does_not_cut_the_payment_short(scripted: ScriptedHouse) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly() -> Result:
        asked.set()
        await answer.wait()
        return succeeded()

    scripted.processors.script(AUTHORIZE, slowly)
    scripted.processors.script(CAPTURE, succeeded())
    call = asyncio.create_task(scripted.house.execute(execution()))
    await asyncio.wait_for(asked.wait(), 30)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    answer.set()
    await _reaches(scripted.house, "captured")
    replay = await scripted.house.stub.ExecutePlan(execution())
    assert replay.replayed
    assert replay.payment.state == PaymentState.PAYMENT_STATE_CAPTURED


async def test_an_unknown_outcome_leaves_the_payment_in_doubt(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, unknown())
    scripted.processors.script(Operation.OPERATION_LOOKUP, *[unknown()] * 4)
    payment = await scripted.house.execute(execution(processors=("simulated", "backup")))
    assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING
    assert payment.in_doubt
    assert payment.HasField("in_doubt_since")
    asked = {request.attempt.processor_id for _, request in scripted.processors.asked}
    assert asked == {"simulated"}
    assert (await scripted.house.told())[-1].payment_in_doubt.amount.amount_minor == 10_000
    (attempt,) = await scripted.house.rows("select state from payments.attempts")
    assert attempt["state"] == "in_doubt"


async def test_a_success_that_names_no_hold_is_in_doubt(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded(reference=""))
    payment = await scripted.house.execute(execution())
    assert payment.in_doubt


class _RouterThatRefuses(RouterServiceServicer):
    def __init__(self, error: SwitchyardError) -> None:
        self.error = error
        self.asked = 0

    async def ExecuteAttempt(self, request: Any, context: Any) -> Any:  # noqa: N802 -- the contract's
        self.asked += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "state", "in_doubt"),
    [
        (Unavailable("away"), PaymentState.PAYMENT_STATE_CONFIRMING, True),
        (Internal("a defect"), PaymentState.PAYMENT_STATE_CONFIRMING, True),
        (InvalidArgument("no order"), PaymentState.PAYMENT_STATE_FAILED, False),
    ],
)
async def test_only_a_router_that_takes_no_such_order_has_certainly_not_sent_it(
    application_url: str, error: SwitchyardError, state: PaymentState.ValueType, in_doubt: bool
) -> None:
    router = _RouterThatRefuses(error)  # type: ignore[abstract]  # as far as it is called
    async with running_house(application_url, simulated(), router=router) as house:
        payment = await house.execute(execution())
    assert (payment.state, payment.in_doubt) == (state, in_doubt)
    assert router.asked == 1


async def test_a_hold_that_cannot_be_taken_is_given_back(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded())
    scripted.processors.script(CAPTURE, failed(Code.DECLINED))
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_VOIDED
    assert payment.result.final_error.code == ErrorCode.ERROR_CODE_DECLINED
    assert payment.amount_authorized.amount_minor == 0
    assert kinds(scripted.house.calls) == {"Authorize": 1, "Capture": 1, "Void": 1}
    assert not payment.needs_reconciliation
    assert (await scripted.house.told())[-1].payment_voided.cause == "capture_failed"


async def test_a_hold_that_cannot_be_given_back_needs_a_person(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded())
    scripted.processors.script(CAPTURE, failed(Code.DECLINED))
    scripted.processors.script(Operation.OPERATION_VOID, failed(Code.DECLINED))
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_VOIDED
    assert payment.needs_reconciliation
    assert payment.amount_authorized.amount_minor == 10_000


@pytest.mark.parametrize(
    ("amount_minor", "fee", "accounts"),
    [
        (10_000, {}, 3),
        (31, {"basis_points": 0, "fixed_minor": 31}, 2),
        (10_000, {"basis_points": 0, "fixed_minor": 0}, 2),
    ],
)
async def test_the_entries_sum_to_zero_and_none_of_them_is_zero(
    house: House, amount_minor: int, fee: dict[str, int], accounts: int
) -> None:
    request = execution(amount_minor=amount_minor)
    if fee:
        request.plan.platform_fee.amount_minor = fee["fixed_minor"]
    payment = await house.execute(request)
    assert await _booked(house, payment.id) == PostingState.POSTING_STATE_POSTED
    sums = await house.ledger_sums()
    assert len(sums) == accounts
    assert sum(sums.values()) == 0
    assert sums["processor:simulated:clearing"] == -money(amount_minor).amount_minor
