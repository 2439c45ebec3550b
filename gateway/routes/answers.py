"""How a payment is told of: which status, which headers, and a decline as the problem it is.

The status follows from the payment alone, as it was when the call was decided. So a repeat gets the
status that the first call got.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from payments.orchestrator.v1.payment_pb2 import Payment as PaymentMessage
from payments.orchestrator.v1.payment_pb2 import PaymentState

from gateway.exchange import Exchange
from gateway.operations import PREFIX
from gateway.shapes.payment import payment_shape
from gateway.told import Told
from services.kernel.context import ValidationIssue

_OK: Final = 200
_CREATED: Final = 201
_UNDECIDED: Final = 202


class Answer(Protocol):
    """What every response about a payment holds."""

    @property
    def payment(self) -> PaymentMessage: ...

    @property
    def replayed(self) -> bool: ...

    @property
    def request_id(self) -> str: ...


def created(exchange: Exchange, answer: Answer) -> Told:
    """The answer to who asked for a payment."""
    return _told(exchange, answer, _CREATED, (), may_be_declined=True)


def answered(
    exchange: Exchange,
    answer: Answer,
    issues: Sequence[ValidationIssue],
    *,
    was_to_be_released: bool = False,
) -> Told:
    """The answer to an order about a payment that stands."""
    return _told(exchange, answer, _OK, issues, may_be_declined=not was_to_be_released)


def headers_of(exchange: Exchange, answer: Answer) -> dict[str, str]:
    """What goes with every answer that is stored under a key."""
    headers = {}
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
        headers["Original-Request"] = answer.request_id
    if exchange.wants_no_wait:
        headers["Preference-Applied"] = "respond-async"
    return headers


def _told(
    exchange: Exchange,
    answer: Answer,
    status: int,
    issues: Sequence[ValidationIssue],
    *,
    may_be_declined: bool,
) -> Told:
    payment = answer.payment
    shape = payment_shape(payment, issues)
    headers = headers_of(exchange, answer)
    if may_be_declined and _is_declined(payment):
        told = exchange.means.problems.of_decline(shape, answer.request_id)
        return Told(told.status, told.body, {**told.headers, **headers}, told.media_type)
    headers["Location"] = f"{PREFIX}/payments/{payment.id}"
    return Told(_UNDECIDED if _is_undecided(payment) else status, shape, headers)


def _is_declined(payment: PaymentMessage) -> bool:
    return payment.state in (PaymentState.PAYMENT_STATE_FAILED, PaymentState.PAYMENT_STATE_VOIDED)


def _is_undecided(payment: PaymentMessage) -> bool:
    if payment.in_doubt:
        return True
    waits_for_customer = payment.next_action.WhichOneof("action") is not None
    return payment.state == PaymentState.PAYMENT_STATE_CONFIRMING and not waits_for_customer
