"""The words that several of the orchestrator's messages share."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1 import (
    error_code_pb2,
    money_pb2,
    operation_pb2,
    payment_method_pb2,
    payment_terms_pb2,
    validation_issue_pb2,
)
from payments.orchestrator.v1 import dispute_pb2, payment_pb2, posting_pb2, refund_pb2
from payments.result.v1 import composite_result_pb2, result_pb2

from services.kernel.context import (
    CaptureMethod,
    CardNetwork,
    PaymentInstrument,
    PaymentMethod,
    Severity,
    SplitPolicy,
    ValidationIssue,
)
from services.kernel.errors import FieldViolation, InvalidArgument, Reason
from services.kernel.money import Currency, Money
from services.kernel.outcome import ErrorCode, Outcome
from services.kernel.redaction import find_card_numbers
from services.orchestrator.domain.state import (
    DisputeState,
    Operation,
    PaymentState,
    PostingState,
    RefundState,
    StepState,
)

_Number = TypeVar("_Number", bound=int)
_Word = TypeVar("_Word")

_TEXT_CHARACTERS_MAX: Final = 1_000

METHODS: Final = {
    payment_method_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{word.name}"): word
    for word in PaymentMethod
}
NETWORKS: Final = {
    payment_method_pb2.CardNetwork.Value(f"CARD_NETWORK_{word.name}"): word for word in CardNetwork
}
CAPTURE_METHODS: Final = {
    payment_terms_pb2.CaptureMethod.Value(f"CAPTURE_METHOD_{word.name}"): word
    for word in CaptureMethod
}
SPLIT_POLICIES: Final = {
    payment_terms_pb2.SplitPolicy.Value(f"SPLIT_POLICY_{word.name}"): word for word in SplitPolicy
}
SEVERITIES: Final = {
    validation_issue_pb2.Severity.Value(f"SEVERITY_{word.name}"): word for word in Severity
}
OUTCOMES: Final = {result_pb2.Outcome.Value(f"OUTCOME_{word.name}"): word for word in Outcome}
ERROR_CODES: Final = {
    error_code_pb2.ErrorCode.Value(f"ERROR_CODE_{word.name}"): word for word in ErrorCode
}
STATES: Final = {
    payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{word.name}"): word for word in PaymentState
}
POSTING_STATES: Final = {
    posting_pb2.PostingState.Value(f"POSTING_STATE_{word.name}"): word for word in PostingState
}

REFUND_STATES: Final = {
    refund_pb2.RefundState.Value(f"REFUND_STATE_{word.name}"): word for word in RefundState
}
DISPUTE_STATES: Final = {
    dispute_pb2.DisputeState.Value(f"DISPUTE_STATE_{word.name}"): word for word in DisputeState
}

REFUND_STATE_NUMBERS: Final = {word: number for number, word in REFUND_STATES.items()}
DISPUTE_STATE_NUMBERS: Final = {word: number for number, word in DISPUTE_STATES.items()}
OUTCOME_NUMBERS: Final = {word: number for number, word in OUTCOMES.items()}
METHOD_NUMBERS: Final = {word: number for number, word in METHODS.items()}
NETWORK_NUMBERS: Final = {word: number for number, word in NETWORKS.items()}
CAPTURE_NUMBERS: Final = {word: number for number, word in CAPTURE_METHODS.items()}
SPLIT_NUMBERS: Final = {word: number for number, word in SPLIT_POLICIES.items()}
SEVERITY_NUMBERS: Final = {word: number for number, word in SEVERITIES.items()}
ERROR_CODE_NUMBERS: Final = {word: number for number, word in ERROR_CODES.items()}
STATE_NUMBERS: Final = {word: number for number, word in STATES.items()}
POSTING_STATE_NUMBERS: Final = {word: number for number, word in POSTING_STATES.items()}
STEP_STATE_NUMBERS: Final = {
    word: composite_result_pb2.StepState.Value(f"STEP_STATE_{word.name}") for word in StepState
}
OPERATION_NUMBERS: Final = {
    word: operation_pb2.Operation.Value(f"OPERATION_{word.name}") for word in Operation
}

_ENDS_OF_TIME: Final = tuple(
    end.replace(tzinfo=UTC)
    for end in (datetime.min, datetime.max)  # noqa: DTZ901 -- named here
)


def choice(path: str, value: _Number, words: Mapping[_Number, _Word]) -> _Word | None:
    """A word that may be left unsaid."""
    if value and value not in words:
        raise invalid(path, "enum.known", f"{value} is no value of it")
    return words.get(value)


def word(path: str, value: _Number, words: Mapping[_Number, _Word]) -> _Word:
    """A word that must be said."""
    found = choice(path, value, words)
    if found is None:
        raise invalid(path, "enum.present", "must be said")
    return found


def money_from(message: money_pb2.Money) -> Money:
    return Money(message.amount_minor, _currency(message.currency))


def money_message(money: Money) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=money.amount_minor, currency=money.currency.code)


def instrument_from(path: str, message: payment_method_pb2.PaymentInstrument) -> PaymentInstrument:
    method = METHODS.get(message.method)
    if method is None:
        raise invalid(
            f"{path}.method", "method.known", "names no method", reason=Reason.METHOD_UNKNOWN
        )
    network = choice(f"{path}.network", message.network, NETWORKS)
    token = without_card_number(f"{path}.token", message.token)
    return PaymentInstrument(method, token or None, network)


def instrument_message(instrument: PaymentInstrument) -> payment_method_pb2.PaymentInstrument:
    message = payment_method_pb2.PaymentInstrument(
        method=METHOD_NUMBERS[instrument.method], token=instrument.token or ""
    )
    if instrument.network is not None:
        message.network = NETWORK_NUMBERS[instrument.network]
    return message


def issue_message(issue: ValidationIssue) -> validation_issue_pb2.ValidationIssue:
    return validation_issue_pb2.ValidationIssue(
        rule=issue.rule,
        severity=SEVERITY_NUMBERS[issue.severity],
        field=issue.field,
        raw=issue.raw,
        coerced=issue.coerced,
        message=issue.message,
    )


def moment(path: str, message: Timestamp) -> datetime:
    try:
        told = message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        problem = "is no moment between the years 1 and 9999"
        raise invalid(path, "timestamp.range", problem) from None
    if told in _ENDS_OF_TIME:
        # The driver takes them for infinity, and reads that back as a moment without a time zone.
        raise invalid(path, "timestamp.range", "is the first or the last moment that there is")
    return told


def optional_moment(request: Message, field: str) -> datetime | None:
    """A moment that may be missing."""
    return moment(field, getattr(request, field)) if request.HasField(field) else None


def span(path: str, message: Duration) -> timedelta:
    try:
        return message.ToTimedelta()
    except OverflowError:
        raise invalid(path, "span.range", "is longer than can be") from None


def plain_text(path: str, text: str) -> str:
    """Words of a caller, to be kept or looked for."""
    return without_card_number(path, name_text(path, text))


def name_text(path: str, text: str) -> str:
    """A name that another system has given, whatever it looks like; PostgreSQL keeps no NUL."""
    if "\0" in text:
        raise invalid(path, "text.no_nul", "holds a NUL")
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise invalid(path, "text.length", f"has more than {_TEXT_CHARACTERS_MAX} characters")
    return text


def without_card_number(path: str, text: str) -> str:
    """A text that may be kept; one with a card number may not be, whoever sends it."""
    if find_card_numbers(text):
        problem = "holds a card number"
        raise invalid(path, "text.card_number", problem, reason=Reason.CARD_NUMBER_PRESENT)
    return text


def kept(text: str) -> str:
    """A processor's word as the database can keep it: what was told must never be unsavable."""
    return text.replace("\0", "")


def invalid(path: str, rule: str, problem: str, *, reason: Reason | None = None) -> InvalidArgument:
    """The refusal of one field."""
    violation = FieldViolation(path, rule, problem)
    return InvalidArgument(f"{path}: {problem}", reason=reason, violations=[violation])


@lru_cache(maxsize=256)
def _currency(code: str) -> Currency:
    return Currency(code)
