"""What callers of the orchestrator ask, and pages of what they are shown."""

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment as PaymentMessage

from services.kernel.context import CoreRequestContext
from services.kernel.errors import Reason
from services.kernel.ids import MerchantId, PaymentId
from services.kernel.paging import decode_page_token, encode_page_token
from services.orchestrator.domain.command import Answer
from services.orchestrator.domain.listing import PaymentFilter
from services.orchestrator.domain.plan import Plan
from services.orchestrator.translate.plan import plan_from_message
from services.orchestrator.translate.request import request_from_message
from services.orchestrator.translate.words import (
    POSTING_STATES,
    STATES,
    invalid,
    optional_moment,
    word,
)


def order_from_request(request: pb.ExecutePlanRequest) -> tuple[CoreRequestContext, Plan]:
    """The request and its plan; the key stands in both places, and says the same."""
    _check_key(request.idempotency_key, request.context.idempotency_key)
    return request_from_message(request.context), plan_from_message(request.plan)


def execute_plan_response(answer: Answer) -> pb.ExecutePlanResponse:
    return pb.ExecutePlanResponse(
        payment=PaymentMessage.FromString(answer.body),
        replayed=answer.replayed,
        request_id=answer.request_id,
    )


def merchant_or_operator(merchant_id: str) -> MerchantId | None:
    """The merchant whose it must be; None for an operator, who sees them all."""
    return MerchantId.parse(merchant_id) if merchant_id else None


def payment_filter(request: pb.ListPaymentsRequest) -> PaymentFilter:
    return PaymentFilter(
        merchant_id=merchant_or_operator(request.merchant_id),
        states=tuple(word("states", state, STATES) for state in request.states),
        user_id=request.user_id or None,
        processor_reference=request.processor_reference or None,
        in_doubt=request.in_doubt if request.HasField("in_doubt") else None,
        posting_states=tuple(
            word("posting_states", state, POSTING_STATES) for state in request.posting_states
        ),
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def payments_after(request: pb.ListPaymentsRequest) -> PaymentId | None:
    """The payment after which the page begins."""
    cursor = decode_page_token(request.page_token, _filters(request), length=1)
    return None if cursor is None else PaymentId.parse(cursor[0])


def payments_token(request: pb.ListPaymentsRequest, after: PaymentId | None) -> str:
    return "" if after is None else encode_page_token(_filters(request), (after,))


def _check_key(key: str, key_in_context: str) -> None:
    if not key:
        raise invalid(
            "idempotency_key",
            "idempotency_key.present",
            "must not be empty",
            reason=Reason.IDEMPOTENCY_KEY_MISSING,
        )
    if key != key_in_context:
        raise invalid(
            "context.idempotency_key",
            "idempotency_key.same",
            "must equal the key of the call",
            reason=Reason.IDEMPOTENCY_KEY_MISMATCH,
        )


def _filters(request: pb.ListPaymentsRequest) -> str:
    """The request without its paging: what a page token is tied to."""
    filters = pb.ListPaymentsRequest()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return "ListPayments" + filters.SerializeToString(deterministic=True).hex()
