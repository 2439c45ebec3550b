"""Lists as callers ask for them: what is wanted, and where a page begins and ends."""

from typing import TypeVar

from google.protobuf.message import Message
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb

from services.kernel.ids import Id, MerchantId, PaymentId
from services.kernel.paging import decode_page_token, encode_page_token
from services.orchestrator.domain.listing import (
    DisputeFilter,
    PaymentFilter,
    PostingFilter,
    RefundFilter,
    RequestFilter,
)
from services.orchestrator.translate.words import (
    DISPUTE_STATES,
    POSTING_STATES,
    REFUND_STATES,
    STATES,
    invalid,
    optional_moment,
    plain_text,
    word,
)
from services.runtime.wire.listing import filters_of

AnyId = TypeVar("AnyId", bound=Id)


def merchant_or_operator(merchant_id: str) -> MerchantId | None:
    """The merchant whose it must be; None for an operator, who sees them all."""
    return MerchantId.parse(merchant_id) if merchant_id else None


def payment_filter(request: pb.ListPaymentsRequest) -> PaymentFilter:
    return PaymentFilter(
        merchant_id=merchant_or_operator(request.merchant_id),
        states=tuple(word("states", state, STATES) for state in request.states),
        user_id=_text("user_id", request.user_id),
        processor_reference=_text("processor_reference", request.processor_reference),
        in_doubt=request.in_doubt if request.HasField("in_doubt") else None,
        posting_states=tuple(
            word("posting_states", state, POSTING_STATES) for state in request.posting_states
        ),
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def refund_filter(request: pb.ListRefundsRequest) -> RefundFilter:
    return RefundFilter(
        merchant_id=merchant_or_operator(request.merchant_id),
        payment_id=_payment_id(request.payment_id),
        states=tuple(word("states", state, REFUND_STATES) for state in request.states),
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def dispute_filter(request: pb.ListDisputesRequest) -> DisputeFilter:
    return DisputeFilter(
        merchant_id=merchant_or_operator(request.merchant_id),
        payment_id=_payment_id(request.payment_id),
        states=tuple(word("states", state, DISPUTE_STATES) for state in request.states),
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def posting_filter(request: pb.ListPostingsRequest) -> PostingFilter:
    return PostingFilter(
        merchant_id=merchant_or_operator(request.merchant_id),
        payment_id=_payment_id(request.payment_id),
        states=tuple(word("states", state, POSTING_STATES) for state in request.states),
    )


def request_filter(request: pb.ListRecordedRequestsRequest) -> RequestFilter:
    return RequestFilter(
        merchant_id=merchant_or_operator(request.merchant_id),
        received_from=optional_moment(request, "received_from"),
        received_before=optional_moment(request, "received_before"),
    )


def page_after(page_token: str, request: Message, kind: type[AnyId]) -> AnyId | None:
    """The one after which the page begins; None for the first page."""
    cursor = decode_page_token(page_token, filters_of(request), length=1)
    return None if cursor is None else kind.parse(cursor[0])


def next_page_token(request: Message, last: Id | None) -> str:
    """Where the next page begins; empty when there is none."""
    return "" if last is None else encode_page_token(filters_of(request), (last,))


def version_seen(request: pb.WatchPaymentRequest) -> int:
    """The version that a watcher has seen; zero for none."""
    if request.after_version < 0:
        raise invalid("after_version", "version.range", "must be zero or more")
    return request.after_version


def _payment_id(payment_id: str) -> PaymentId | None:
    return PaymentId.parse(payment_id) if payment_id else None


def _text(path: str, text: str) -> str | None:
    return plain_text(path, text) or None
