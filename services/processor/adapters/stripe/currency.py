"""Amounts as Stripe counts them, where that differs from ISO 4217's minor units."""

from typing import Final

from services.kernel.errors import InvalidArgument
from services.kernel.money import Currency, Money
from services.processor.domain.verdict import CannotAsk, Misfit

# Stripe's decimals for the currencies in which they are not the ISO's.
_EXPONENTS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}


def to_stripe(amount: Money) -> int:
    """The amount in Stripe's smallest unit."""
    steps = _steps(amount.currency)
    if steps >= 0:
        return amount.amount_minor * _power(steps)
    stripe_amount, rest = divmod(amount.amount_minor, _power(-steps))
    if rest:
        raise CannotAsk(f"{amount.amount_minor} {amount.currency} has no number at Stripe")
    return stripe_amount


def from_stripe(stripe_amount: object, code: object) -> Money:
    """The money that a field of an answer and the currency beside it mean."""
    if type(stripe_amount) is not int or stripe_amount < 0:
        raise Misfit("an amount of the answer is no number of minor units")
    if not isinstance(code, str):
        raise Misfit("the answer names no currency")
    try:
        currency = Currency(code.upper())
        steps = _steps(currency)
        if steps <= 0:
            return Money(stripe_amount * _power(-steps), currency)
        amount_minor, rest = divmod(stripe_amount, _power(steps))
        if rest:
            raise Misfit(f"the answer says a fraction of the smallest unit of {currency}")
        return Money(amount_minor, currency)
    except InvalidArgument as refused:
        raise Misfit(f"the answer's amount is no money: {refused.message}") from refused


def _steps(currency: Currency) -> int:
    """How many decimals Stripe has more than the ISO."""
    return _EXPONENTS.get(currency.code, currency.exponent) - currency.exponent


def _power(decimals: int) -> int:
    return int(10**decimals)
