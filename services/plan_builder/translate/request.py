"""A request as a message, made the strict one that plans are built from."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1 import (
    core_request_context_pb2,
    payment_method_pb2,
)

from services.kernel.context import (
    CoreRequestContext,
    PaymentInstrument,
    StepPreference,
)
from services.kernel.errors import FieldViolation, InvalidArgument, Reason
from services.kernel.ids import ApiKeyId, MerchantId, RequestId
from services.kernel.redaction import find_card_numbers
from services.plan_builder.translate.words import choice
from services.runtime.wire.amounts import money_from
from services.runtime.wire.words import CAPTURE_METHODS, METHODS, NETWORKS, SPLIT_POLICIES


def context_from_message(
    message: core_request_context_pb2.CoreRequestContext,
) -> CoreRequestContext:
    """The request; its validation issues stay behind, since no plan depends on them."""
    try:
        return CoreRequestContext(
            request_id=RequestId.parse(message.request_id),
            merchant_id=MerchantId.parse(message.merchant_id),
            api_key_id=ApiKeyId.parse(message.api_key_id) if message.api_key_id else None,
            idempotency_key=message.idempotency_key,
            idempotency_key_generated=message.idempotency_key_generated,
            amount=money_from(message.amount),
            instrument=_instrument_from("context.instrument", message.instrument),
            steps=tuple(
                _preference_from(f"context.steps[{number}]", step)
                for number, step in enumerate(message.steps)
            ),
            split_policy=choice("context.split_policy", message.split_policy, SPLIT_POLICIES),
            capture_method=choice(
                "context.capture_method", message.capture_method, CAPTURE_METHODS
            ),
            user_id=message.user_id or None,
            email=message.email or None,
            country=message.country or None,
            return_url=message.return_url or None,
            metadata=dict(message.metadata),
            received_at=moment_from(message.received_at),
        )
    except ValueError as error:
        raise InvalidArgument(
            f"the request is not strict: {error}",
            violations=[FieldViolation("context", "context.strict", str(error))],
        ) from error


def _preference_from(path: str, message: core_request_context_pb2.StepPreference) -> StepPreference:
    return StepPreference(
        _instrument_from(f"{path}.instrument", message.instrument),
        money_from(message.max_amount) if message.HasField("max_amount") else None,
    )


def _instrument_from(path: str, message: payment_method_pb2.PaymentInstrument) -> PaymentInstrument:
    method = METHODS.get(message.method)
    if method is None:
        raise InvalidArgument(
            "the payment method is not known",
            reason=Reason.METHOD_UNKNOWN,
            violations=[FieldViolation(f"{path}.method", "method.known", "names no method")],
        )
    network = choice(f"{path}.network", message.network, NETWORKS)
    if find_card_numbers(message.token):
        # A plan is kept with its payment, and a card's number may not be.
        raise InvalidArgument(
            "a card number is no token",
            reason=Reason.CARD_NUMBER_PRESENT,
            violations=[FieldViolation(f"{path}.token", "text.card_number", "holds a card number")],
        )
    return PaymentInstrument(method, message.token or None, network)


def moment_from(message: Timestamp) -> datetime:
    try:
        return message.ToDatetime(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("the time of receipt is no moment between the years 1 and 9999") from error
