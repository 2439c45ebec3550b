"""Payments and intents: asked for, confirmed, captured, voided, shown."""

from typing import Final

from grpc.aio import AioRpcError
from payments.ledger.v1.ledger_service_pb2 import ListTransactionsRequest
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment as PaymentMessage
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest

from gateway.auth import Scope
from gateway.exchange import Exchange
from gateway.limits import CALL_SECONDS
from gateway.operations import PREFIX, Operation, Success
from gateway.problems import error_of_call
from gateway.reading import (
    Caller,
    PaymentRequest,
    read_capture,
    read_confirmation,
    read_payment,
    read_void,
)
from gateway.routes import bodies
from gateway.routes.answers import answered, created
from gateway.routes.parameters import ORDERED, PAYMENT_ID, PREFER
from gateway.shapes.ledger import LedgerLines, lines_shape
from gateway.shapes.payment import BookedPayment, Payment, payment_shape
from gateway.shapes.story import story_shape
from gateway.strict import context_message, instrument_message
from gateway.told import Told
from services.kernel.errors import (
    DeadlineExceeded,
    InvalidArgument,
    SwitchyardError,
    Unavailable,
)
from services.kernel.ids import MerchantId
from services.kernel.money import Currency
from services.kernel.paging import MAX_PAGE_SIZE
from services.runtime.wire.amounts import money_message

_LEDGER_SECONDS: Final = 5.0


async def create_payment(exchange: Exchange) -> Told:
    """Create, confirm and carry out; an explicit `confirm: false` makes an intent of it."""
    wanted = await _read_payment(exchange)
    if wanted.confirm is False:
        return await _make_intent(exchange, wanted)
    return await _carry_out(exchange, wanted)


async def create_intent(exchange: Exchange) -> Told:
    """Create, and do nothing for it yet unless it says `confirm: true`."""
    wanted = await _read_payment(exchange)
    if wanted.confirm:
        return await _carry_out(exchange, wanted)
    return await _make_intent(exchange, wanted)


async def confirm_intent(exchange: Exchange) -> Told:
    merchant_id = exchange.caller.paying_merchant()
    payment_id = exchange.payment_id()
    incoming = await exchange.incoming()
    wanted = read_confirmation(incoming, exchange.spoken_for(merchant_id), payment_id=payment_id)
    exchange.notice(wanted.call.issues)
    request = pb.ConfirmPaymentRequest(
        idempotency_key=wanted.call.idempotency_key,
        merchant_id=merchant_id,
        payment_id=payment_id,
        return_url=wanted.return_url or "",
        response_mode=_mode(exchange),
    )
    if wanted.instrument is not None:
        request.instrument.CopyFrom(instrument_message(wanted.instrument))
    response = await exchange.services.orchestrator.ConfirmPayment(request, timeout=CALL_SECONDS)
    return answered(exchange, response, wanted.call.issues)


async def capture(exchange: Exchange) -> Told:
    payment = await _own_payment(exchange)
    wanted = read_capture(
        await exchange.incoming(),
        exchange.spoken_for(MerchantId(payment.merchant_id)),
        payment_id=payment.id,
        payment_currency=Currency(payment.amount.currency),
    )
    exchange.notice(wanted.call.issues)
    request = pb.CapturePaymentRequest(
        idempotency_key=wanted.call.idempotency_key,
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
    )
    if wanted.amount is not None:
        request.amount.CopyFrom(money_message(wanted.amount))
    response = await exchange.services.orchestrator.CapturePayment(request, timeout=CALL_SECONDS)
    return answered(exchange, response, wanted.call.issues)


async def void(exchange: Exchange) -> Told:
    payment = await _own_payment(exchange)
    caller = exchange.spoken_for(MerchantId(payment.merchant_id))
    wanted = read_void(await exchange.incoming(), caller, payment_id=payment.id)
    exchange.notice(wanted.call.issues)
    request = pb.VoidPaymentRequest(
        idempotency_key=wanted.call.idempotency_key,
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        reason=wanted.reason or "",
    )
    response = await exchange.services.orchestrator.VoidPayment(request, timeout=CALL_SECONDS)
    return answered(exchange, response, wanted.call.issues, was_to_be_released=True)


async def get_payment(exchange: Exchange) -> Told:
    payment = await _own_payment(exchange)
    shape: BookedPayment = {
        **payment_shape(payment),
        "ledger": await _ledger_lines(exchange, payment.id),
    }
    return Told(200, shape)


async def explain(exchange: Exchange) -> Told:
    request = pb.ExplainPaymentRequest(
        merchant_id=exchange.caller.merchant_id or "", payment_id=exchange.payment_id()
    )
    response = await exchange.services.orchestrator.ExplainPayment(request)
    return Told(200, story_shape(response.story))


async def _read_payment(exchange: Exchange) -> PaymentRequest:
    merchant_id = exchange.caller.paying_merchant()
    means = exchange.means
    caller = Caller(merchant_id, exchange.caller.api_key_id, await means.currencies.of(merchant_id))
    wanted = read_payment(await exchange.incoming(), caller, received_at=means.clock.now())
    exchange.notice(wanted.context.issues)
    return wanted


async def _make_intent(exchange: Exchange, wanted: PaymentRequest) -> Told:
    context = wanted.context
    request = pb.CreatePaymentRequest(
        idempotency_key=context.idempotency_key, context=context_message(context)
    )
    response = await exchange.services.orchestrator.CreatePayment(request, timeout=CALL_SECONDS)
    return created(exchange, response)


async def _carry_out(exchange: Exchange, wanted: PaymentRequest) -> Told:
    message = context_message(wanted.context)
    request = pb.ExecutePlanRequest(
        idempotency_key=message.idempotency_key, context=message, response_mode=_mode(exchange)
    )
    try:
        plan = await exchange.services.plan_builder.BuildPlan(BuildPlanRequest(context=message))
    except AioRpcError as error:
        return created(exchange, await _repeated(exchange, request, error_of_call(error)))
    request.plan.CopyFrom(plan.plan)
    response = await exchange.services.orchestrator.ExecutePlan(request, timeout=CALL_SECONDS)
    return created(exchange, response)


async def _repeated(
    exchange: Exchange, request: pb.ExecutePlanRequest, why_no_plan: SwitchyardError
) -> pb.ExecutePlanResponse:
    """The stored answer to a request that could be planned once and cannot be any more."""
    try:
        return await exchange.services.orchestrator.ExecutePlan(request, timeout=CALL_SECONDS)
    except AioRpcError as error:
        failure = error_of_call(error)
        if isinstance(failure, InvalidArgument):
            raise why_no_plan from error
        raise failure from error


def _mode(exchange: Exchange) -> pb.ResponseMode.ValueType:
    return pb.RESPONSE_MODE_ASYNC if exchange.wants_no_wait else pb.RESPONSE_MODE_WAIT


async def _own_payment(exchange: Exchange) -> PaymentMessage:
    """The payment that the path names, if it is the caller's; an operator sees them all."""
    request = pb.GetPaymentRequest(
        merchant_id=exchange.caller.merchant_id or "", payment_id=exchange.payment_id()
    )
    return (await exchange.services.orchestrator.GetPayment(request)).payment


async def _ledger_lines(exchange: Exchange, payment_id: str) -> list[LedgerLines] | None:
    """What is booked; None if the ledger is away, for the payment can be shown without it."""
    try:
        return await _all_ledger_lines(exchange, payment_id)
    except AioRpcError as error:
        failure = error_of_call(error)
        if not isinstance(failure, Unavailable | DeadlineExceeded):
            raise failure from error
        return None


async def _all_ledger_lines(exchange: Exchange, payment_id: str) -> list[LedgerLines]:
    request = ListTransactionsRequest(reference_id=payment_id, page_size=MAX_PAGE_SIZE)
    lines: list[LedgerLines] = []
    while True:
        page = await exchange.services.ledger.ListTransactions(request, timeout=_LEDGER_SECONDS)
        lines += map(lines_shape, page.transactions)
        if not page.next_page_token:
            return lines
        request.page_token = page.next_page_token


_PAYMENT: Final = Success("The payment as it was when the call was decided.", Payment)
_UNDECIDED: Final = Success("The payment, which is not decided yet: look again later.", Payment)
_ORDER_REFUSALS: Final = (402, 404, 409, 413, 422)

OPERATIONS: Final = (
    Operation(
        "createPayment",
        "POST",
        f"{PREFIX}/payments",
        "Create a payment, confirm it and carry it out, all in one call.",
        create_payment,
        {201: _PAYMENT, 202: _UNDECIDED},
        (402, 409, 413, 422),
        Scope.PAYMENTS_WRITE,
        body=bodies.PAYMENT,
        parameters=(*ORDERED, PREFER),
    ),
    Operation(
        "getPayment",
        "GET",
        f"{PREFIX}/payments/{{payment_id}}",
        "A payment as it is now, with its lines in the ledger.",
        get_payment,
        {200: Success("The payment.", BookedPayment)},
        (404,),
        Scope.PAYMENTS_READ,
        parameters=(PAYMENT_ID,),
    ),
    Operation(
        "explainPayment",
        "GET",
        f"{PREFIX}/payments/{{payment_id}}/explain",
        "The whole story of a payment: what was asked, decided and why, done, told and booked.",
        explain,
        {200: Success("The story.", dict)},
        (404,),
        Scope.PAYMENTS_READ,
        parameters=(PAYMENT_ID,),
    ),
    Operation(
        "capturePayment",
        "POST",
        f"{PREFIX}/payments/{{payment_id}}/capture",
        "Take what is held, or a part of it; the rest is released.",
        capture,
        {200: _PAYMENT, 202: _UNDECIDED},
        _ORDER_REFUSALS,
        Scope.PAYMENTS_WRITE,
        body=bodies.CAPTURE,
        parameters=(PAYMENT_ID, *ORDERED),
    ),
    Operation(
        "voidPayment",
        "POST",
        f"{PREFIX}/payments/{{payment_id}}/void",
        "Release what is held.",
        void,
        {200: _PAYMENT, 202: _UNDECIDED},
        _ORDER_REFUSALS,
        Scope.PAYMENTS_WRITE,
        body=bodies.VOID,
        parameters=(PAYMENT_ID, *ORDERED),
    ),
    Operation(
        "createPaymentIntent",
        "POST",
        f"{PREFIX}/payment_intents",
        "Create a payment, and do nothing for it yet.",
        create_intent,
        {201: _PAYMENT, 202: _UNDECIDED},
        (402, 409, 413, 422),
        Scope.PAYMENTS_WRITE,
        body=bodies.PAYMENT,
        parameters=ORDERED,
    ),
    Operation(
        "confirmPaymentIntent",
        "POST",
        f"{PREFIX}/payment_intents/{{payment_id}}/confirm",
        "Set a payment going, or go on with one whose customer has acted.",
        confirm_intent,
        {200: _PAYMENT, 202: _UNDECIDED},
        _ORDER_REFUSALS,
        Scope.PAYMENTS_WRITE,
        body=bodies.CONFIRMATION,
        parameters=(PAYMENT_ID, *ORDERED, PREFER),
    ),
)
