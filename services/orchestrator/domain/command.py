"""A call that changes something, as its idempotency key stands for it.

What a key stands for is the operation and the request after coercion; the plan, the issues, the
trace and the request's id are no part of it, so that a repeat is known whatever came of it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import cached_property
from typing import Final

from services.kernel.context import CoreRequestContext, PaymentInstrument
from services.kernel.errors import Conflict, FieldViolation, InFlight, Reason
from services.kernel.ids import MerchantId, PaymentId, RefundId, RequestId
from services.kernel.money import Money

CREATE_PAYMENT: Final = "CreatePayment"
CONFIRM_PAYMENT: Final = "ConfirmPayment"
EXECUTE_PLAN: Final = "ExecutePlan"
CAPTURE_PAYMENT: Final = "CapturePayment"
VOID_PAYMENT: Final = "VoidPayment"
REFUND_PAYMENT: Final = "RefundPayment"
RESOLVE_PAYMENT: Final = "ResolvePayment"
_RETRY_AFTER: Final = timedelta(seconds=1)


class ResponseMode(Enum):
    """How long a caller wants to wait."""

    WAIT = auto()
    ASYNC = auto()


@dataclass(frozen=True)
class Command:
    """One call under its key; `fields` holds the canonical body by path."""

    merchant_id: MerchantId
    idempotency_key: str
    request_id: RequestId
    operation: str
    fields: Mapping[str, str]

    def call(self, refund_id: RefundId | None = None) -> "Call":
        """The call that the payment answers when this is done."""
        return Call(
            self.merchant_id, self.idempotency_key, self.request_id, self.operation, refund_id
        )

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Each field by a digest of its value: enough to name the fields that differ."""
        return {path: _digest(value).hex()[:16] for path, value in sorted(self.fields.items())}

    @cached_property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the operation and of every field with the digest of its value."""
        lines = [self.operation]
        lines += (f"{path}={_digest(value).hex()}" for path, value in sorted(self.fields.items()))
        return _digest("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Call:
    """A call under its key as a payment knows it, until it is answered."""

    merchant_id: MerchantId
    idempotency_key: str
    request_id: RequestId
    operation: str
    refund_id: RefundId | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told: decided once, stored, and never another."""

    body: bytes
    request_id: RequestId
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer to a call, to be stored with what decides it."""

    call: Call
    answer: Answer


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What stands under a key."""

    payment_id: PaymentId
    operation: str
    fingerprint: bytes
    digests: Mapping[str, str]
    request_id: RequestId
    first_used_at: datetime
    answered_at: datetime | None
    answer: Answer | None


def create_payment(request: CoreRequestContext) -> Command:
    """The command to make a payment and do nothing for it yet."""
    return _requested(request, CREATE_PAYMENT)


def execute_plan(request: CoreRequestContext) -> Command:
    """The command to carry a request out from beginning to end."""
    return _requested(request, EXECUTE_PLAN)


def on_payment(
    operation: str,
    *,
    merchant_id: MerchantId,
    idempotency_key: str,
    request_id: RequestId,
    payment_id: PaymentId,
    **fields: str | Money | PaymentInstrument | None,
) -> Command:
    """The command to do something with a payment that stands; what is None was left unsaid."""
    body = {"payment_id": str(payment_id)}
    for name, value in fields.items():
        match value:
            case None:
                continue
            case Money():
                body[name] = _text(value)
            case PaymentInstrument():
                body.update(_instrument_fields(name, value))
            case str():
                body[name] = value
    return Command(merchant_id, idempotency_key, request_id, operation, body)


@dataclass(frozen=True, slots=True)
class Order:
    """What every order about a payment that stands consists of."""

    merchant_id: MerchantId
    idempotency_key: str
    request_id: RequestId
    payment_id: PaymentId
    expected_version: int

    def command(self, operation: str, **fields: str | Money | PaymentInstrument | None) -> Command:
        """The command that the order's key stands for."""
        return on_payment(
            operation,
            merchant_id=self.merchant_id,
            idempotency_key=self.idempotency_key,
            request_id=self.request_id,
            payment_id=self.payment_id,
            **fields,
        )

    @property
    def cause(self) -> str:
        return f"request:{self.request_id}"


def judge(command: Command, standing: KeyRecord) -> Answer | Conflict | InFlight:
    """What to tell a caller whose key stands already."""
    if standing.fingerprint != command.fingerprint:
        return _key_reused(command, standing)
    if standing.answer is None:
        return InFlight(
            f"the call that used this key first is still at work on {standing.payment_id}",
            details={"payment_id": standing.payment_id},
            retry_after=_RETRY_AFTER,
        )
    return standing.answer


def _key_reused(command: Command, standing: KeyRecord) -> Conflict:
    differing = _differences(command, standing)
    fields = ", ".join(differing)
    message = f"this idempotency key was used before, for a request that differs in {fields}"
    return Conflict(
        message,
        reason=Reason.IDEMPOTENCY_KEY_REUSED,
        violations=[
            FieldViolation(field, "idempotency_key.same_body", "differs from the first call's")
            for field in differing
        ],
        details={"payment_id": standing.payment_id, "differing_fields": fields},
    )


def _differences(command: Command, standing: KeyRecord) -> Sequence[str]:
    if command.operation != standing.operation:
        return ["operation"]
    asked, stood = command.digests, standing.digests
    return [path for path in sorted({*asked, *stood}) if asked.get(path) != stood.get(path)]


def _requested(request: CoreRequestContext, operation: str) -> Command:
    return Command(
        request.merchant_id,
        request.idempotency_key,
        request.request_id,
        operation,
        dict(_request_fields(request)),
    )


def _request_fields(request: CoreRequestContext) -> Iterator[tuple[str, str]]:
    yield "amount", _text(request.amount)
    yield from _instrument_fields("instrument", request.instrument)
    for number, step in enumerate(request.steps):
        yield from _instrument_fields(f"steps[{number}].instrument", step.instrument)
        if step.max_amount is not None:
            yield f"steps[{number}].max_amount", _text(step.max_amount)
    for name in ("split_policy", "capture_method", "user_id", "email", "country", "return_url"):
        value = getattr(request, name)
        if value is not None:
            yield name, value
    for key, value in request.metadata.items():
        yield f"metadata.{key}", value


def _instrument_fields(path: str, instrument: PaymentInstrument) -> Iterator[tuple[str, str]]:
    yield f"{path}.method", instrument.method
    if instrument.token is not None:
        yield f"{path}.token", instrument.token
    if instrument.network is not None:
        yield f"{path}.network", instrument.network


def _text(money: Money) -> str:
    return f"{money.amount_minor} {money.currency.code}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
