"""Stripe's published test cards: numbers and tokens, and how each of them behaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Authentication(StrEnum):
    """When a card's bank asks its holder to authenticate (3-D Secure)."""

    NEVER = "never"
    # Asks in the shop; lets a charge pass that a saved card makes with nobody present.
    ON_SESSION = "on_session"
    ALWAYS = "always"


class RefundCourse(StrEnum):
    """How a refund to a card goes."""

    IMMEDIATE = "immediate"
    PENDING_FIRST = "pending_first"
    FAILS_LATER = "fails_later"


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a bank says no: Stripe's error code, the bank's reason, and what to tell people."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCard:
    """One card of the catalogue; its first name is also its token (pm_card_NAME, tok_NAME)."""

    __test__ = False  # its name must not make pytest collect it

    number: str
    names: tuple[str, ...]
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    decline: Decline | None = None
    authentication: Authentication = Authentication.NEVER
    cvc_check: str = "pass"
    refund: RefundCourse = RefundCourse.IMMEDIATE
    dispute_reason: str | None = None
    dispute_is_inquiry: bool = False
    saved_despite_decline: bool = False
    blocked_as_fraud: bool = False
    funds_available_at_once: bool = False

    @property
    def name(self) -> str:
        """What the sandbox keeps instead of the number."""
        return self.names[0]


def _declined(decline_code: str, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", decline_code, message)


_GENERIC: Final = _declined("generic_decline")
_INSUFFICIENT: Final = _declined("insufficient_funds", "Your card has insufficient funds.")

CATALOGUE: Final = (
    TestCard(number="4242424242424242", names=("visa",)),
    TestCard(number="4000056655665556", names=("visa_debit",), funding="debit"),
    TestCard(number="5555555555554444", names=("mastercard",), brand="mastercard"),
    TestCard(number="2223003122003222", names=("mastercard_2_series",), brand="mastercard"),
    TestCard(
        number="5200828282828210",
        names=("mastercard_debit",),
        brand="mastercard",
        funding="debit",
    ),
    TestCard(
        number="5105105105105100",
        names=("mastercard_prepaid",),
        brand="mastercard",
        funding="prepaid",
    ),
    TestCard(number="378282246310005", names=("amex",), brand="amex"),
    TestCard(number="6011111111111117", names=("discover",), brand="discover"),
    TestCard(number="3056930009020004", names=("diners",), brand="diners"),
    TestCard(number="3566002020360505", names=("jcb",), brand="jcb", country="JP"),
    TestCard(number="6200000000000005", names=("unionpay",), brand="unionpay", country="CN"),
    TestCard(number="4000002760000016", names=("de",), country="DE"),
    TestCard(number="4000008260000000", names=("gb",), country="GB"),
    TestCard(number="4000002500000003", names=("fr",), country="FR"),
    # Declines.
    TestCard(
        number="4000000000000002",
        names=("visa_chargeDeclined", "chargeDeclined"),
        decline=_GENERIC,
    ),
    TestCard(
        number="4000000000009995",
        names=("visa_chargeDeclinedInsufficientFunds", "chargeDeclinedInsufficientFunds"),
        decline=_INSUFFICIENT,
    ),
    TestCard(
        number="4000000000009987",
        names=("visa_chargeDeclinedLostCard", "chargeDeclinedLostCard"),
        decline=_declined("lost_card"),
    ),
    TestCard(
        number="4000000000009979",
        names=("visa_chargeDeclinedStolenCard", "chargeDeclinedStolenCard"),
        decline=_declined("stolen_card"),
    ),
    TestCard(
        number="4000000000000069",
        names=("chargeDeclinedExpiredCard", "visa_chargeDeclinedExpiredCard"),
        decline=Decline("expired_card", None, "Your card has expired."),
    ),
    TestCard(
        number="4000000000000127",
        names=("chargeDeclinedIncorrectCvc", "visa_chargeDeclinedIncorrectCvc"),
        decline=Decline("incorrect_cvc", None, "Your card's security code is incorrect."),
        cvc_check="fail",
    ),
    TestCard(
        number="4000000000000119",
        names=("chargeDeclinedProcessingError", "visa_chargeDeclinedProcessingError"),
        decline=Decline("processing_error", None, "An error occurred while processing the card."),
    ),
    TestCard(
        number="4000000000006975",
        names=("visa_chargeDeclinedVelocityLimitExceeded", "chargeDeclinedVelocityLimitExceeded"),
        decline=_declined("card_velocity_exceeded"),
    ),
    TestCard(
        number="4100000000000019",
        names=("radarBlock", "chargeDeclinedFraudulent"),
        decline=_declined("fraudulent"),
        blocked_as_fraud=True,
    ),
    TestCard(
        number="4000000000000341",
        names=("chargeCustomerFail",),
        decline=_GENERIC,
        saved_despite_decline=True,
    ),
    TestCard(number="4000000000000101", names=("cvcCheckFail",), cvc_check="fail"),
    # 3-D Secure.
    TestCard(
        number="4000000000003220",
        names=("threeDSecure2Required", "threeDSecureRequired"),
        authentication=Authentication.ALWAYS,
    ),
    TestCard(
        number="4000002760003184",
        names=("authenticationRequired", "visa_authenticationRequired"),
        authentication=Authentication.ALWAYS,
    ),
    TestCard(
        number="4000002500003155",
        names=("authenticationRequiredOnSetup",),
        authentication=Authentication.ON_SESSION,
    ),
    TestCard(
        number="4000003800000446",
        names=("authenticationRequiredSetupForOffSession",),
        authentication=Authentication.ON_SESSION,
    ),
    TestCard(
        number="4000008260003178",
        names=("authenticationRequiredChargeDeclinedInsufficientFunds",),
        authentication=Authentication.ALWAYS,
        decline=_INSUFFICIENT,
    ),
    TestCard(
        number="4000008400001629",
        names=("threeDSecureRequiredChargeDeclined",),
        authentication=Authentication.ALWAYS,
        decline=_GENERIC,
    ),
    TestCard(number="4000000000003055", names=("threeDSecureOptional",)),
    # Refunds.
    TestCard(
        number="4000000000007726", names=("pendingRefund",), refund=RefundCourse.PENDING_FIRST
    ),
    TestCard(number="4000000000005126", names=("refundFail",), refund=RefundCourse.FAILS_LATER),
    # Disputes.
    TestCard(
        number="4000000000000259",
        names=("createDispute", "visa_createDispute"),
        dispute_reason="fraudulent",
    ),
    TestCard(
        number="4000000000002685",
        names=("createDisputeProductNotReceived",),
        dispute_reason="product_not_received",
    ),
    TestCard(
        number="4000000000001976",
        names=("createDisputeInquiry",),
        dispute_reason="fraudulent",
        dispute_is_inquiry=True,
    ),
    # Balance.
    TestCard(number="4000000000000077", names=("bypassPending",), funds_available_at_once=True),
)

BY_NUMBER: Final = {card.number: card for card in CATALOGUE}
BY_NAME: Final = {name: card for card in CATALOGUE for name in card.names}


def passes_luhn(number: str) -> bool:
    """Whether the last digit of a card number fits the others."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
