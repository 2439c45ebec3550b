"""Money: an exact number of minor units of one ISO 4217 currency, and the arithmetic it allows.

There is no float here. Whatever cannot be exact (a share, a percentage, a conversion) is worked
out as a fraction and rounded half-even once, at the end. Every amount fits a signed 64-bit integer,
as it must in the database and on the wire.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Self

import iso4217

from services.kernel.errors import FieldViolation, InvalidArgument, Reason

MIN_AMOUNT_MINOR = -(2**63)
MAX_AMOUNT_MINOR = 2**63 - 1

# A currency without an exponent (XXX, XTS, gold, drawing rights) cannot be paid in.
_EXPONENTS: dict[str, int] = {
    currency.code: currency.exponent
    for currency in iso4217.Currency
    if currency.exponent is not None
}

_CURRENCY_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_PLAIN_DECIMAL = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII)
_MAX_DIGITS = len(str(MAX_AMOUNT_MINOR))


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency one can pay in, by its ISO 4217 code: `Currency("USD")`."""

    code: str
    exponent: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        exponent = _EXPONENTS.get(self.code)
        if exponent is None:
            # Anything but three letters is not repeated: it may be a card number astray.
            named = f" {self.code}" if _CURRENCY_CODE.fullmatch(self.code) else ""
            raise _refusal(
                "currency", "currency.known", Reason.CURRENCY_UNKNOWN, f"unknown currency{named}"
            )
        object.__setattr__(self, "exponent", exponent)

    @classmethod
    def all(cls) -> tuple[Self, ...]:
        """Every currency one can pay in, by code."""
        return tuple(cls(code) for code in sorted(_EXPONENTS))

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency; amounts in different currencies never meet."""

    amount_minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError(f"minor units are an int, not {type(self.amount_minor).__name__}")
        if not MIN_AMOUNT_MINOR <= self.amount_minor <= MAX_AMOUNT_MINOR:
            raise _refusal(
                "amount", "amount.range", Reason.AMOUNT_INVALID, "amount is beyond 64 bits"
            )

    @classmethod
    def zero(cls, currency: Currency) -> Self:
        return cls(0, currency)

    @classmethod
    def parse(cls, text: str, currency: Currency) -> Self:
        """Read a plain decimal such as `12.34` or `-5`: no symbol, grouping, sign + or space."""
        match = _PLAIN_DECIMAL.fullmatch(text)
        if match is None:
            raise _refusal(
                "amount", "amount.decimal", Reason.AMOUNT_INVALID, "amount is not a plain decimal"
            )
        sign, whole, decimals = match[1], match[2], match[3] or ""
        if len(decimals) > currency.exponent:
            message = f"{currency} has {currency.exponent} decimals, the amount {len(decimals)}"
            raise _refusal("amount", "amount.precision", Reason.AMOUNT_INVALID, message)
        digits = (whole + decimals.ljust(currency.exponent, "0")).lstrip("0") or "0"
        # Cut before int(), which refuses very long texts in a way of its own.
        return cls(int(sign + digits[: _MAX_DIGITS + 1]), currency)

    @classmethod
    def total(cls, amounts: Iterable["Money"], currency: Currency) -> Self:
        """The sum of the amounts, all in this currency; zero if there are none."""
        total_minor = 0
        for amount in amounts:
            _require_same(currency, amount.currency)
            total_minor += amount.amount_minor
        return cls(total_minor, currency)

    @property
    def is_zero(self) -> bool:
        return self.amount_minor == 0

    @property
    def is_positive(self) -> bool:
        return self.amount_minor > 0

    @property
    def is_negative(self) -> bool:
        return self.amount_minor < 0

    def __add__(self, other: "Money") -> "Money":
        _require_same(self.currency, other.currency)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        _require_same(self.currency, other.currency)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def __abs__(self) -> "Money":
        return Money(abs(self.amount_minor), self.currency)

    def __mul__(self, count: int) -> "Money":
        return Money(self.amount_minor * count, self.currency)

    def __lt__(self, other: "Money") -> bool:
        _require_same(self.currency, other.currency)
        return self.amount_minor < other.amount_minor

    def __le__(self, other: "Money") -> bool:
        _require_same(self.currency, other.currency)
        return self.amount_minor <= other.amount_minor

    def __gt__(self, other: "Money") -> bool:
        return other < self

    def __ge__(self, other: "Money") -> bool:
        return other <= self

    def allocate(self, weights: Sequence[int]) -> tuple["Money", ...]:
        """Split by weight into parts that sum to this amount exactly (largest remainder).

        A minor unit left over goes to the largest remainder, the earlier part where two are equal;
        a part of weight zero gets nothing.
        """
        total_weight = sum(weights)
        if total_weight <= 0 or min(weights) < 0:
            raise ValueError("weights are zero or more, and one of them is more")
        sign, magnitude = (-1, -self.amount_minor) if self.is_negative else (1, self.amount_minor)
        parts, remainders = _quotients(magnitude, weights, total_weight)
        left_over = magnitude - sum(parts)
        by_remainder = sorted(range(len(parts)), key=lambda i: remainders[i], reverse=True)
        for i in by_remainder[:left_over]:
            parts[i] += 1
        return tuple(Money(sign * part, self.currency) for part in parts)

    def proportion(self, part: "Money", whole: "Money") -> "Money":
        """What of this amount belongs to `part` of `whole`, rounded half-even.

        `part` and `whole` may be in a currency other than this amount's.
        """
        _require_same(whole.currency, part.currency)
        if not (whole.is_positive and 0 <= part.amount_minor <= whole.amount_minor):
            raise ValueError("a part lies between zero and a whole above zero")
        return self._times(Fraction(part.amount_minor, whole.amount_minor))

    def next_share(self, part: "Money", *, already: "Money", whole: "Money") -> "Money":
        """What of this amount goes with the next `part` of `whole`, after `already` of it.

        For a fee given back refund by refund: each share is the difference of two cumulative
        ones, so that whatever the parts, the shares of a whole sum to this amount exactly.
        """
        if part.is_negative:
            raise ValueError("the next part is not negative")
        return self.proportion(already + part, whole) - self.proportion(already, whole)

    def basis_points(self, count: int) -> "Money":
        """So many hundredths of a percent of this amount, rounded half-even."""
        return self._times(Fraction(count, 10_000))

    def convert(self, to: Currency, rate: Fraction | Decimal) -> "Money":
        """This amount in another currency, rounded half-even once.

        The rate is the price in `to` of one whole unit (one dollar, not one cent) of this
        currency. A chain of rates is multiplied first and converted by once.
        """
        if not isinstance(rate, Fraction | Decimal):
            raise TypeError(f"a rate is a Fraction or a Decimal, not {type(rate).__name__}")
        if (isinstance(rate, Decimal) and not rate.is_finite()) or rate <= 0:
            raise ValueError("a rate is above zero and finite")
        scale = Fraction(10) ** (to.exponent - self.currency.exponent)
        return Money(round(self.amount_minor * Fraction(rate) * scale), to)

    def _times(self, factor: Fraction) -> "Money":
        # round() of a Fraction is exact and half-even.
        return Money(round(self.amount_minor * factor), self.currency)

    @property
    def decimal_text(self) -> str:
        """The amount as a plain decimal, as `parse` reads it: `12.34`."""
        sign = "-" if self.is_negative else ""
        exponent = self.currency.exponent
        digits = str(abs(self.amount_minor)).rjust(exponent + 1, "0")
        if exponent == 0:
            return sign + digits
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"

    def __str__(self) -> str:
        return f"{self.decimal_text} {self.currency}"


def _quotients(
    magnitude: int, weights: Sequence[int], total_weight: int
) -> tuple[list[int], list[int]]:
    divided = [divmod(magnitude * weight, total_weight) for weight in weights]
    return [quotient for quotient, _ in divided], [remainder for _, remainder in divided]


def _require_same(expected: Currency, actual: Currency) -> None:
    if expected != actual:
        message = f"{actual} where {expected} is meant"
        raise _refusal("currency", "currency.same", Reason.INVALID_ARGUMENT, message)


def _refusal(field_name: str, rule: str, reason: Reason, message: str) -> InvalidArgument:
    return InvalidArgument(
        message, reason=reason, violations=[FieldViolation(field_name, rule, message)]
    )
