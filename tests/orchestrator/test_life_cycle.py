"""Orders about a payment that stands: capture, void, refund, confirm, and their refusals."""

import asyncio
from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.orchestrator.v1.refund_pb2 import RefundState
from payments.result.v1.result_pb2 import Result

from services.kernel.context import CaptureMethod
from services.kernel.errors import Conflict, FailedPrecondition, NotFound, Reason
from services.kernel.ids import MerchantId, PaymentId
from services.kernel.outcome import ErrorCode as Code
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, execution, succeeded, usd
from tests.router.attempts import failed

MANUAL = CaptureMethod.MANUAL
AUTHORIZE = Operation.OPERATION_AUTHORIZE
REFUND = Operation.OPERATION_REFUND
_PENDING = "select from payments.postings where state = 'pending'"


async def _authorized(house: House, key: str = "order-17", **changed: Any) -> Payment:
    return await house.execute(execution(key, capture_method=MANUAL, **changed))


async def _booked(house: House) -> dict[str, int]:
    async with asyncio.timeout(30):
        while await house.rows(_PENDING):  # noqa: ASYNC110 -- another task commits it
            await asyncio.sleep(0.01)
    return await house.ledger_sums()


async def test_what_is_held_is_captured_in_full_or_in_part(house: House) -> None:
    payment = await _authorized(house)
    assert payment.state == PaymentState.PAYMENT_STATE_AUTHORIZED
    assert payment.amount_authorized == usd(10_000)
    request = pb.CapturePaymentRequest(**about(payment, "cap-1"), amount=usd(4_000))
    answer = await house.stub.CapturePayment(request)
    taken = answer.payment
    assert taken.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert (taken.amount_captured, taken.amount_authorized) == (usd(4_000), usd(0))
    sums = await _booked(house)
    assert sums["processor:simulated:clearing"] == -4_000
    assert sum(sums.values()) == 0
    again = await house.stub.CapturePayment(request)
    assert again.replayed
    assert again.payment == taken
    assert house.calls.count("Capture") == 1


async def test_a_hold_is_voided(house: House) -> None:
    payment = await _authorized(house)
    answer = await house.stub.VoidPayment(pb.VoidPaymentRequest(**about(payment, "void-1")))
    assert answer.payment.state == PaymentState.PAYMENT_STATE_VOIDED
    assert answer.payment.amount_authorized == usd(0)
    assert await house.count("postings") == 0


async def test_a_refund_in_parts_gives_the_fee_back_exactly(house: House) -> None:
    payment = await house.execute(execution())
    fee = payment.platform_fee.amount_minor
    for number, amount in enumerate((3_333, 3_333, 3_334)):
        request = pb.RefundPaymentRequest(
            **about(payment, f"refund-{number}"), amount=usd(amount), reason="returned"
        )
        answer = await house.stub.RefundPayment(request)
        assert answer.refund.state == RefundState.REFUND_STATE_SUCCEEDED
        assert answer.refund.reason == "returned"
    assert answer.payment.state == PaymentState.PAYMENT_STATE_REFUNDED
    assert answer.payment.amount_refunded == usd(10_000)
    assert answer.payment.platform_fee == usd(0)
    assert fee > 0
    assert set((await _booked(house)).values()) == {0}


@pytest.mark.parametrize(
    ("capture_method", "order", "reason"),
    [
        (MANUAL, "refund", Reason.NOT_CAPTURED),
        (MANUAL, "capture too much", Reason.AUTHORIZED_AMOUNT_EXCEEDED),
        (MANUAL, "confirm", Reason.ILLEGAL_STATE_TRANSITION),
        (CaptureMethod.AUTOMATIC, "refund too much", Reason.REFUND_HEADROOM_EXCEEDED),
        (CaptureMethod.AUTOMATIC, "void", Reason.ILLEGAL_STATE_TRANSITION),
        (CaptureMethod.AUTOMATIC, "capture", Reason.ILLEGAL_STATE_TRANSITION),
    ],
)
async def test_what_is_not_allowed_says_the_state_and_writes_nothing(
    house: House, capture_method: CaptureMethod, order: str, reason: Reason
) -> None:
    payment = await house.execute(execution(capture_method=capture_method))
    before = await house.count("attempts"), await house.count("idempotency")
    with pytest.raises(FailedPrecondition) as refused:
        await _do(house, payment, order)
    assert refused.value.reason is reason
    assert refused.value.details["state"] == PaymentState.Name(payment.state).removeprefix(
        "PAYMENT_STATE_"
    )
    assert (await house.count("attempts"), await house.count("idempotency")) == before
    assert (await house.get(payment.id)).version == payment.version


async def _do(house: House, payment: Payment, order: str, **changed: Any) -> Any:
    words = about(payment, f"key of {order}") | changed
    with typed_errors():
        match order:
            case "refund":
                return await house.stub.RefundPayment(pb.RefundPaymentRequest(**words))
            case "refund too much":
                request = pb.RefundPaymentRequest(**words, amount=usd(10_001))
                return await house.stub.RefundPayment(request)
            case "capture":
                return await house.stub.CapturePayment(pb.CapturePaymentRequest(**words))
            case "capture too much":
                capture = pb.CapturePaymentRequest(**words, amount=usd(10_001))
                return await house.stub.CapturePayment(capture)
            case "void":
                return await house.stub.VoidPayment(pb.VoidPaymentRequest(**words))
            case "confirm":
                return await house.stub.ConfirmPayment(pb.ConfirmPaymentRequest(**words))
    raise AssertionError(order)


async def test_a_second_full_refund_says_so_but_a_repeat_is_answered(house: House) -> None:
    payment = await house.execute(execution())
    first = await _do(house, payment, "refund")
    again = await _do(house, payment, "refund")
    assert again.replayed
    assert again.refund == first.refund
    with pytest.raises(FailedPrecondition) as refused:
        await _do(house, payment, "refund", idempotency_key="another")
    assert refused.value.reason is Reason.ALREADY_REFUNDED


@pytest.mark.parametrize("order", ["refund", "capture", "void", "confirm"])
async def test_what_is_not_ones_own_is_not_there(house: House, order: str) -> None:
    payment = await _authorized(house)
    for changed in ({"merchant_id": MerchantId.new()}, {"payment_id": PaymentId.new()}):
        with pytest.raises(NotFound):
            await _do(house, payment, order, **changed)


async def test_a_stale_version_is_refused(house: House) -> None:
    payment = await _authorized(house)
    with pytest.raises(Conflict) as refused:
        await _do(house, payment, "capture", expected_version=payment.version - 1)
    assert refused.value.reason is Reason.STALE_VERSION
    answer = await _do(house, payment, "capture", expected_version=payment.version)
    assert answer.payment.state == PaymentState.PAYMENT_STATE_CAPTURED


async def test_a_key_used_for_another_order_is_refused(house: House) -> None:
    payment = await _authorized(house)
    await _do(house, payment, "capture")
    with pytest.raises(Conflict) as refused:
        await _do(house, payment, "void", idempotency_key="key of capture")
    assert refused.value.reason is Reason.IDEMPOTENCY_KEY_REUSED


async def test_an_intent_is_confirmed_by_whichever_worker_hears_of_it(house: House) -> None:
    order = execution("intent-1")
    created = await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key="intent-1", context=order.context)
    )
    assert created.payment.state == PaymentState.PAYMENT_STATE_CREATED
    request = pb.ConfirmPaymentRequest(**about(created.payment, "confirm-1"))
    confirmed = await house.stub.ConfirmPayment(request)
    assert confirmed.payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    again = await house.stub.ConfirmPayment(request)
    assert again.replayed
    (command,) = [told for told in await house.told() if told.type == "PaymentConfirmRequested"]
    assert command.payment_confirm_requested.payment_version == command.sequence
    with pytest.raises(FailedPrecondition):
        await _do(house, created.payment, "confirm")


async def test_an_intent_is_confirmed_with_what_the_customer_pays_with_after_all(
    house: House,
) -> None:
    order = execution("intent-1", card="pm_card_chargeDeclined")
    created = await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key="intent-1", context=order.context)
    )
    request = pb.ConfirmPaymentRequest(**about(created.payment, "confirm-1"))
    request.instrument.CopyFrom(order.context.instrument)
    request.instrument.token = "pm_card_visa"  # noqa: S105 -- a test token's public name
    confirmed = await house.stub.ConfirmPayment(request)
    assert confirmed.payment.state == PaymentState.PAYMENT_STATE_CAPTURED


async def test_a_failed_refund_frees_what_it_had_reserved(scripted: ScriptedHouse) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"))
    payment = await house.execute(execution())
    scripted.processors.script(REFUND, failed(Code.DECLINED), Result())
    first = await _do(house, payment, "refund")
    assert first.refund.state == RefundState.REFUND_STATE_FAILED
    second = await _do(house, payment, "refund", idempotency_key="again")
    assert second.refund.state == RefundState.REFUND_STATE_SUCCEEDED
    assert second.payment.state == PaymentState.PAYMENT_STATE_REFUNDED


async def test_racing_refunds_never_exceed_what_was_captured_and_use_all_of_it(
    house: House,
) -> None:
    payment = await house.execute(execution())
    reasons = set[Reason]()

    async def refund(number: int) -> int:
        request = pb.RefundPaymentRequest(**about(payment, f"race-{number}"), amount=usd(13))
        try:
            with typed_errors():
                await house.stub.RefundPayment(request, timeout=240)
        except FailedPrecondition as error:
            reasons.add(error.reason)
            return 0
        return 13

    returned = sum(await asyncio.gather(*(refund(number) for number in range(1_000))))
    assert returned == 13 * (10_000 // 13)
    assert reasons == {Reason.REFUND_HEADROOM_EXCEEDED}
    rest = await _do(house, payment, "refund")
    assert rest.refund.amount == usd(10_000 - returned)
    assert rest.payment.state == PaymentState.PAYMENT_STATE_REFUNDED
    assert set((await _booked(house)).values()) == {0}
