"""Payment methods and the customers they belong to. Card numbers are recognised, never kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from sandbox.domain import cards
from sandbox.domain.cards import Authentication, TestCard
from sandbox.domain.work import Entity, Work
from sandbox.errors import CardError, InvalidCard, InvalidRequest, Refused, missing

_TOKEN_EXPIRY_MONTH: Final = 12
_TOKEN_YEARS_AHEAD: Final = 4
# A token of the sandbox's own: the card of that name, paid from an Apple Pay wallet.
_APPLE_PAY_TOKEN: Final = "tok_applePay_"  # noqa: S105 (a public test token's prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(Entity):
    """Someone a merchant knows by name."""

    kind: ClassVar[str] = "customer"
    prefix: ClassVar[str] = "cus"

    metadata: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    description: str | None = None
    address: dict[str, Any] | None = None
    shipping: dict[str, Any] | None = None
    preferred_locales: tuple[str, ...] = ()
    tax_exempt: str | None = "none"
    default_payment_method: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What may be known of a card: never its number. `test_card` decides how it behaves."""

    test_card: str
    exp_month: int
    exp_year: int
    cvc_checked: bool
    wallet: str | None = None

    @property
    def catalogued(self) -> TestCard:
        """The test card this is."""
        return cards.BY_NAME[self.test_card]

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.catalogued.number[-4:]

    @property
    def fingerprint(self) -> str:
        """The same for the same card, whoever shows it."""
        return hashlib.blake2b(self.test_card.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod(Entity):
    """A card, ready to be charged, perhaps kept for a customer."""

    kind: ClassVar[str] = "payment_method"
    prefix: ClassVar[str] = "pm"

    card: Card
    customer: str | None = None
    billing_details: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    allow_redisplay: str = "unspecified"


def live_customer(work: Work, customer_id: str, *, param: str = "customer") -> Customer:
    """The customer, unless deleted."""
    customer = work.get(Customer, customer_id, param=param)
    if customer.deleted:
        raise missing(Customer.kind, customer_id, param=param)
    return customer


def create(
    work: Work,
    *,
    card: dict[str, Any],
    billing_details: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    param: str = "card",
) -> PaymentMethod:
    """Make a payment method of a test card's number or of a token."""
    return work.put(
        PaymentMethod(
            **work.identity(PaymentMethod),
            card=_card_from(card, work.now, param),
            billing_details=billing_details or {},
            metadata=metadata or {},
        )
    )


def resolve(work: Work, reference: str, *, param: str = "payment_method") -> PaymentMethod:
    """The payment method of an id; each use of a pm_card_* token makes a new one."""
    name = reference.removeprefix("pm_card_")
    if name != reference and name in cards.BY_NAME:
        card = _from_catalogue(cards.BY_NAME[name], work.now)
        return work.put(PaymentMethod(**work.identity(PaymentMethod), card=card))
    return work.get(PaymentMethod, reference, param=param)


def attach(work: Work, method: PaymentMethod, customer_id: str) -> PaymentMethod:
    """Keep a payment method for a customer, if its bank agrees."""
    customer = live_customer(work, customer_id)
    if method.customer not in (None, customer.id):
        raise Refused("The payment method is already attached to another customer.")
    card = method.card.catalogued
    saved = card.saved_despite_decline or card.authentication is not Authentication.NEVER
    if card.decline is not None and not saved:
        raise CardError(
            card.decline.message, code=card.decline.code, decline_code=card.decline.decline_code
        )
    attached = work.put(replace(method, customer=customer.id))
    work.emit("payment_method.attached", attached)
    return attached


def detach(work: Work, method: PaymentMethod) -> PaymentMethod:
    """Let go of a payment method; it cannot be used again."""
    if method.customer is None:
        raise Refused("The payment method is not attached to a customer, so it cannot be detached.")
    detached = work.put(replace(method, customer=None))
    work.emit("payment_method.detached", detached, previous=method)
    return detached


def _card_from(given: dict[str, Any], now: int, param: str) -> Card:
    if (token := given.get("token")) is not None:
        return _card_of_token(token, now, param)
    number = given.get("number")
    if number is None:
        raise InvalidRequest(
            f"Missing required param: {param}[number].",
            code="parameter_missing",
            param=f"{param}[number]",
        )
    known = _known_card(number.replace(" ", "").replace("-", ""), param)
    month, year = _expiry(given, now, param)
    return Card(
        test_card=known.name,
        exp_month=month,
        exp_year=year,
        cvc_checked=given.get("cvc") is not None,
    )


def _card_of_token(token: str, now: int, param: str) -> Card:
    for prefix, wallet in ((_APPLE_PAY_TOKEN, "apple_pay"), ("tok_", None)):
        name = token.removeprefix(prefix)
        if name != token and name in cards.BY_NAME:
            return replace(_from_catalogue(cards.BY_NAME[name], now), wallet=wallet)
    raise missing("token", token, param=f"{param}[token]")


def _from_catalogue(card: TestCard, now: int) -> Card:
    return Card(
        test_card=card.name,
        exp_month=_TOKEN_EXPIRY_MONTH,
        exp_year=_year(now) + _TOKEN_YEARS_AHEAD,
        cvc_checked=True,
    )


def _known_card(number: str, param: str) -> TestCard:
    if known := cards.BY_NUMBER.get(number):
        return known
    if not number.isascii() or not number.isdigit() or not cards.passes_luhn(number):
        raise InvalidCard(
            "Your card number is incorrect.", code="incorrect_number", param=f"{param}[number]"
        )
    # A number that could be real stops here and is neither kept nor repeated.
    raise InvalidCard(
        "Your card was declined: only Stripe's published test cards work in the sandbox.",
        code="card_declined",
        decline_code="test_mode_live_card",
        param=f"{param}[number]",
    )


def _expiry(given: dict[str, Any], now: int, param: str) -> tuple[int, int]:
    for name in ("exp_month", "exp_year"):
        if name not in given:
            raise InvalidRequest(
                f"Missing required param: {param}[{name}].",
                code="parameter_missing",
                param=f"{param}[{name}]",
            )
    month, year = given["exp_month"], given["exp_year"]
    year = year + 2000 if year < 100 else year
    if not 1 <= month <= 12:
        raise InvalidCard(
            "Your card's expiration month is invalid.",
            code="invalid_expiry_month",
            param=f"{param}[exp_month]",
        )
    today = datetime.fromtimestamp(now, UTC)
    if (year, month) < (today.year, today.month) or year > today.year + 50:
        raise InvalidCard(
            "Your card's expiration year is invalid.",
            code="invalid_expiry_year",
            param=f"{param}[exp_year]",
        )
    return month, year


def _year(now: int) -> int:
    return datetime.fromtimestamp(now, UTC).year
