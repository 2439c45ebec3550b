"""The strict request: what a merchant asked for, once the gateway has given it one meaning.

Everything behind the gateway handles these types and nothing looser. What a merchant may get wrong
is refused or coerced before they are made, so an illegal value here is a programmer's mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique
from types import MappingProxyType

from services.kernel.ids import ApiKeyId, MerchantId, RequestId
from services.kernel.money import Money
from services.kernel.redaction import redact_field

MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
MAX_USER_ID_CHARACTERS = 255
MAX_STEPS = 16
MAX_METADATA_ENTRIES = 50
MAX_METADATA_KEY_CHARACTERS = 40
MAX_METADATA_VALUE_CHARACTERS = 500
MAX_ISSUE_VALUE_CHARACTERS = 200
# Where a processor keeps the trace of a payment that is recorded, so that its webhooks name it.
TRACE_METADATA_KEY = "switchyard_traceparent"


@unique
class PaymentMethod(StrEnum):
    """A way to pay that a merchant can offer."""

    CARD = "card"
    APPLE_PAY = "apple_pay"


@unique
class CardNetwork(StrEnum):
    """The scheme that a card belongs to."""

    VISA = "visa"
    MASTERCARD = "mastercard"
    AMERICAN_EXPRESS = "american_express"
    DISCOVER = "discover"
    DINERS_CLUB = "diners_club"
    JCB = "jcb"
    UNIONPAY = "unionpay"


@unique
class CaptureMethod(StrEnum):
    """When an authorized amount is taken: at once, or when the merchant says."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@unique
class SplitPolicy(StrEnum):
    """What becomes of a payment of several steps when one of them fails."""

    ALL_OR_NOTHING = "all_or_nothing"
    PARTIAL = "partial"


@unique
class Severity(StrEnum):
    """How much an issue or a violation matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class ValidationIssue:
    """One leniency: what came, what was made of it, and by which rule.

    Raw and coerced values are shortened and stripped of card data as the issue is made, so that no
    caller can forget to.
    """

    rule: str
    severity: Severity
    field: str
    raw: str
    coerced: str
    message: str

    def __post_init__(self) -> None:
        _require(bool(self.rule), "an issue names its rule")
        object.__setattr__(self, "raw", _presentable(self.field, self.raw))
        object.__setattr__(self, "coerced", _presentable(self.field, self.coerced))


@dataclass(frozen=True, slots=True)
class PaymentInstrument:
    """What a customer pays with: a method, and the processor's token that stands for it."""

    method: PaymentMethod
    token: str | None = field(default=None, repr=False)
    network: CardNetwork | None = None

    def __post_init__(self) -> None:
        _require(self.token != "", "a token is absent rather than empty")


@dataclass(frozen=True, slots=True)
class StepPreference:
    """One part of a split as the merchant wishes it; without a maximum it takes what is left."""

    instrument: PaymentInstrument
    max_amount: Money | None = None

    def __post_init__(self) -> None:
        _require(self.max_amount is None or self.max_amount.is_positive, "a maximum is positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreRequestContext:
    """A merchant's payment request made strict; None leaves a choice to the merchant's config."""

    request_id: RequestId
    merchant_id: MerchantId
    api_key_id: ApiKeyId | None = None
    idempotency_key: str
    idempotency_key_generated: bool = False
    amount: Money
    instrument: PaymentInstrument
    steps: tuple[StepPreference, ...] = ()
    split_policy: SplitPolicy | None = None
    capture_method: CaptureMethod | None = None
    user_id: str | None = None
    email: str | None = field(default=None, repr=False)
    country: str | None = None
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    issues: tuple[ValidationIssue, ...] = ()
    received_at: datetime
    traceparent: str | None = field(default=None, compare=False)
    """The recorded trace in which all that is done for the request goes on, whenever that is."""

    def __post_init__(self) -> None:
        _require(self.amount.is_positive, "the amount is positive")
        _require_length("idempotency_key", self.idempotency_key, MAX_IDEMPOTENCY_KEY_CHARACTERS)
        if self.user_id is not None:
            _require_length("user_id", self.user_id, MAX_USER_ID_CHARACTERS)
        if self.country is not None:
            is_alpha_2 = len(self.country) == 2 and self.country.isascii()
            _require(is_alpha_2 and self.country.isupper(), "a country is two capital letters")
        _require(self.received_at.utcoffset() == timedelta(0), "the time of receipt is in UTC")
        self._check_steps()
        self._check_metadata()
        # Sorted, so that equal requests are equal byte for byte wherever they are written down.
        object.__setattr__(self, "metadata", MappingProxyType(dict(sorted(self.metadata.items()))))

    def _check_steps(self) -> None:
        _require(len(self.steps) <= MAX_STEPS, f"a split has at most {MAX_STEPS} steps")
        for step in self.steps:
            if step.max_amount is not None:
                same = step.max_amount.currency == self.amount.currency
                _require(same, "every step is in the currency of the payment")

    def _check_metadata(self) -> None:
        count = len(self.metadata)
        _require(count <= MAX_METADATA_ENTRIES, f"metadata has at most {MAX_METADATA_ENTRIES} keys")
        for key, value in self.metadata.items():
            _require_length("a metadata key", key, MAX_METADATA_KEY_CHARACTERS)
            fits = len(value) <= MAX_METADATA_VALUE_CHARACTERS
            _require(
                fits, f"metadata values have at most {MAX_METADATA_VALUE_CHARACTERS} characters"
            )


def _presentable(name: str, text: str) -> str:
    redacted = str(redact_field(name, text))
    if len(redacted) <= MAX_ISSUE_VALUE_CHARACTERS:
        return redacted
    return redacted[: MAX_ISSUE_VALUE_CHARACTERS - 1] + "…"


def _require_length(name: str, text: str, max_characters: int) -> None:
    # PostgreSQL keeps no text with one.
    _require("\0" not in text, f"{name} holds no NUL")
    _require(0 < len(text) <= max_characters, f"{name} has 1 to {max_characters} characters")


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(rule)
