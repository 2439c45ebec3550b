"""Refunds: of a merchant's own payment, or of anybody's by an operator."""

from typing import Final

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.refund_pb2 import RefundState

from gateway.auth import Scope
from gateway.exchange import Exchange
from gateway.limits import CALL_SECONDS
from gateway.operations import PREFIX, Operation, Success
from gateway.reading import Incoming, read_refund, read_refund_target
from gateway.routes import bodies
from gateway.routes.answers import headers_of
from gateway.routes.parameters import ORDERED, PAYMENT_ID, REFUND_ID
from gateway.shapes.refund import Refund, refund_shape
from gateway.told import Told
from services.kernel.ids import MerchantId, PaymentId
from services.kernel.money import Currency
from services.runtime.wire.amounts import money_message

_CREATED: Final = 201
_UNDECIDED: Final = 202


async def refund_payment(exchange: Exchange) -> Told:
    payment_id = exchange.payment_id()
    return await _refund(exchange, payment_id, await exchange.incoming(), in_path=payment_id)


async def refund_as_operator(exchange: Exchange) -> Told:
    exchange.caller.require_operator()
    incoming = await exchange.incoming()
    return await _refund(exchange, read_refund_target(incoming), incoming, in_path=None)


async def _refund(
    exchange: Exchange, payment_id: PaymentId, incoming: Incoming, *, in_path: str | None
) -> Told:
    """Order a refund; the payment is read first, for its currency and whose it is."""
    whose = pb.GetPaymentRequest(
        merchant_id=exchange.caller.merchant_id or "", payment_id=payment_id
    )
    payment = (await exchange.services.orchestrator.GetPayment(whose)).payment
    wanted = read_refund(
        incoming,
        exchange.spoken_for(MerchantId(payment.merchant_id)),
        payment_id=in_path,
        payment_currency=Currency(payment.amount.currency),
    )
    exchange.notice(wanted.call.issues)
    request = pb.RefundPaymentRequest(
        idempotency_key=wanted.call.idempotency_key,
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        reason=wanted.reason or "",
    )
    if wanted.amount is not None:
        request.amount.CopyFrom(money_message(wanted.amount))
    response = await exchange.services.orchestrator.RefundPayment(request, timeout=CALL_SECONDS)
    is_pending = response.refund.state == RefundState.REFUND_STATE_PENDING
    return Told(
        _UNDECIDED if is_pending else _CREATED,
        refund_shape(response.refund, wanted.call.issues),
        headers_of(exchange, response),
    )


async def get_refund(exchange: Exchange) -> Told:
    request = pb.GetRefundRequest(
        merchant_id=exchange.caller.merchant_id or "", refund_id=exchange.refund_id()
    )
    response = await exchange.services.orchestrator.GetRefund(request)
    return Told(200, refund_shape(response.refund, ()))


_ANSWERS: Final = {
    _CREATED: Success("The refund as it was when the call was decided.", Refund),
    _UNDECIDED: Success("The refund, which the processor has not decided yet.", Refund),
}
_REFUSALS: Final = (404, 409, 413, 422)

OPERATIONS: Final = (
    Operation(
        "refundPayment",
        "POST",
        f"{PREFIX}/payments/{{payment_id}}/refund",
        "Return what was taken, or a part of it.",
        refund_payment,
        _ANSWERS,
        _REFUSALS,
        Scope.REFUNDS_WRITE,
        body=bodies.REFUND,
        parameters=(PAYMENT_ID, *ORDERED),
        tag="refunds",
    ),
    Operation(
        "refundAnyPayment",
        "POST",
        f"{PREFIX}/refunds",
        "Return what was taken of any merchant's payment; for operators.",
        refund_as_operator,
        _ANSWERS,
        _REFUSALS,
        Scope.REFUNDS_WRITE,
        body=bodies.OPERATORS_REFUND,
        parameters=ORDERED,
        tag="refunds",
    ),
    Operation(
        "getRefund",
        "GET",
        f"{PREFIX}/refunds/{{refund_id}}",
        "A refund as it is now.",
        get_refund,
        {200: Success("The refund.", Refund)},
        (404,),
        Scope.PAYMENTS_READ,
        parameters=(REFUND_ID,),
        tag="refunds",
    ),
)
