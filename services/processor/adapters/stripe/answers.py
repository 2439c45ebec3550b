"""Stripe's objects as the adapter reads them; a field that makes no sense is a Misfit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.kernel.money import Money
from services.processor.adapters.stripe.currency import from_stripe
from services.processor.domain.attempt import is_reference
from services.processor.domain.verdict import Echo, Misfit, Redirect

ATTEMPT_KEY: Final = "switchyard_attempt_id"
PAYMENT_KEY: Final = "switchyard_payment_id"
REFUND_KEY: Final = "switchyard_refund_id"

# They let whoever holds them act for the customer, or see the receipt.
SECRET_NAMES: Final = frozenset(
    {"client_secret", "receipt_url", "redirect_to_url", "use_stripe_sdk"}
)

_MAX_WORD_CHARACTERS: Final = 120
_MAX_URL_CHARACTERS: Final = 2_000


class HasBody(Protocol):
    """An answer, whatever its status."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A payment intent."""

    id: str
    state: str
    amount: Money
    capturable: Money
    received: Money
    capture_method: str
    attempt_id: str | None
    last_error: Mapping[str, Any] | None
    redirect: Redirect | None
    fee: Money | None

    def echo(self, amount: Money) -> Echo:
        """What it says it is about, where `amount` of it is meant."""
        return Echo(amount=amount, hold=self.id, attempt_id=self.attempt_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund."""

    id: str
    state: str
    amount: Money
    hold: str
    attempt_id: str | None
    failure_reason: str | None

    @property
    def echo(self) -> Echo:
        return Echo(amount=self.amount, hold=self.hold, attempt_id=self.attempt_id)


def read_intent(body: Mapping[str, Any]) -> Intent:
    """The payment intent that an answer holds."""
    _expect(body, "payment_intent")
    currency = body.get("currency")
    return Intent(
        id=read_id(body.get("id"), "pi_"),
        state=word(body.get("status")) or "",
        amount=from_stripe(body.get("amount"), currency),
        capturable=from_stripe(body.get("amount_capturable", 0), currency),
        received=from_stripe(body.get("amount_received", 0), currency),
        capture_method=word(body.get("capture_method")) or "",
        attempt_id=metadata_word(body, ATTEMPT_KEY),
        last_error=_mapping(body.get("last_payment_error")),
        redirect=_redirect(body),
        fee=_fee(body),
    )


def read_refund(body: Mapping[str, Any]) -> Refund:
    """The refund that an answer holds."""
    _expect(body, "refund")
    return Refund(
        id=read_id(body.get("id"), "re_", "pyr_"),
        state=word(body.get("status")) or "",
        amount=from_stripe(body.get("amount"), body.get("currency")),
        hold=read_id(body.get("payment_intent"), "pi_"),
        attempt_id=metadata_word(body, ATTEMPT_KEY),
        failure_reason=word(body.get("failure_reason")),
    )


def read_list(body: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """The objects of a page, and whether there are more."""
    _expect(body, "list")
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise Misfit("the list's items are no objects")
    return data, body.get("has_more") is True


def read_id(value: object, *prefixes: str) -> str:
    """An id of Stripe's that may go into a path."""
    if isinstance(value, Mapping):
        # An id that was asked to be expanded comes as the object itself.
        value = value.get("id")
    begins = isinstance(value, str) and (not prefixes or value.startswith(prefixes))
    if not begins or not isinstance(value, str) or not is_reference(value):
        raise Misfit(f"the answer's id is none of Stripe's {' or '.join(prefixes)}")
    return value


def word(value: object) -> str | None:
    """A short word of Stripe's vocabulary, where the field holds one."""
    is_word = isinstance(value, str) and value.isascii() and value.isprintable()
    return value[:_MAX_WORD_CHARACTERS] if is_word and isinstance(value, str) and value else None


def metadata_word(body: Mapping[str, Any], name: str) -> str | None:
    """What was left under a name in the metadata."""
    return word((_mapping(body.get("metadata")) or {}).get(name))


def raw(answer: HasBody) -> Mapping[str, object]:
    """The answer as it came; what is no success shows its status beside the body."""
    return answer.body if answer.status == 200 else {"http_status": answer.status, **answer.body}


def _expect(body: Mapping[str, Any], kind: str) -> None:
    if body.get("object") != kind:
        raise Misfit(f"the answer is no {kind}")


def _redirect(body: Mapping[str, Any]) -> Redirect | None:
    action = _mapping(body.get("next_action")) or {}
    page = _mapping(action.get("redirect_to_url")) or {}
    url, return_url = page.get("url"), page.get("return_url")
    if not _is_url(url):
        return None
    return Redirect(url=str(url), return_url=str(return_url) if _is_url(return_url) else "")


def _is_url(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith(("https://", "http://"))
        and value.isascii()
        and value.isprintable()
        and len(value) <= _MAX_URL_CHARACTERS
    )


def _fee(body: Mapping[str, Any]) -> Money | None:
    """What Stripe kept, where the charge's balance transaction came along."""
    charge = _mapping(body.get("latest_charge")) or {}
    movement = _mapping(charge.get("balance_transaction"))
    if movement is None:
        return None
    try:
        return from_stripe(movement.get("fee"), movement.get("currency"))
    except Misfit:
        # Money was taken all the same: reconciliation learns the fee from Stripe's own books.
        return None


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None
