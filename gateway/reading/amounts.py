"""Amounts: bare integers count minor units, and whatever is written for people major ones."""

import re
from decimal import Decimal
from enum import Enum, auto
from typing import Final, NamedTuple

from gateway.reading.names import Claim, Claims, snake_case
from gateway.reading.notes import Notes, Place
from gateway.reading.rules import amounts as rules
from gateway.reading.rules import fields
from gateway.reading.rules.rule import Rule
from gateway.reading.units import CurrencyTerms, Unit, plain_text, read_unit
from gateway.reading.written_numbers import WrittenNumber, read_number, read_whole
from services.kernel.money import MAX_AMOUNT_MINOR, Currency, Money

_MAX_CHARACTERS: Final = 64
_MAX_DIGITS: Final = 24
_MINOR_NAMES: Final = frozenset(
    {"amount_minor", "minor_amount", "amount_cents", "amount_in_cents", "amount_in_minor_units"}
)
_VALUE_NAMES: Final = frozenset({"value", "amount", "total", *_MINOR_NAMES})
_CURRENCY_NAMES: Final = frozenset({"currency", "currency_code"})

_SHAPE: Final = re.compile(
    r"(?P<before>\D*?)(?P<number>[.,]?\d(?:[\d., ']*\d)?)(?P<tail>[.,]-{0,2})?(?P<after>\D*)",
    re.ASCII,
)
_EXPONENT: Final = re.compile(r"[+-]?\d+(?:\.\d+)?e[+-]?\d{1,3}", re.ASCII | re.IGNORECASE)


class Sign(Enum):
    """Which amounts a field takes."""

    POSITIVE = auto()
    NOT_ZERO = auto()


class _Parts(NamedTuple):
    """An amount written as text, taken apart."""

    unit_before: str
    number: str
    is_open: bool
    unit_after: str
    is_negative: bool

    @property
    def is_bare(self) -> bool:
        return not (self.is_open or self.unit_before or self.unit_after) and self.number.isdecimal()


def unnest(claims: Claims, name: str, notes: Notes) -> None:
    """Take what came as {"value": …, "currency": …} apart into an amount and a currency."""
    sent = claims.get(name, [])
    if not any(type(value) is dict for _, value in sent):
        return
    apart: list[Claim] = []
    for path, value in sent:
        if not isinstance(value, dict):
            apart.append((path, value))
            continue
        notes.note(rules.NESTED, path)
        known = len(apart)
        for key, inner in value.items():
            inner_path, spelled = f"{path}.{key}", snake_case(key)
            if inner is None:
                continue
            if spelled in _VALUE_NAMES:
                apart.append((inner_path, inner))
            elif spelled in _CURRENCY_NAMES:
                claims.setdefault("currency", []).append((inner_path, inner))
            else:
                notes.note(fields.UNKNOWN, inner_path, inner)
        # Kept, to be refused: without its amount, a refund would be one of everything.
        if len(apart) == known:
            apart.append((path, value))
    claims[name] = apart


def read_amount(
    notes: Notes, path: str, value: object, *, terms: CurrencyTerms, sign: Sign = Sign.POSITIVE
) -> Money | None:
    """The amount that a number or a text means."""
    if type(value) is int:
        currency = terms.of_bare(notes)
        return _money(Place(notes, path, value), value, currency, sign)
    place = Place(notes, path, value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and value.is_finite():
        return _read_decimal(place, value, rules.DECIMAL, terms, sign)
    if isinstance(value, str):
        return _read_text(place, value, terms, sign)
    place.note(rules.UNREADABLE)
    return None


def _read_decimal(
    place: Place, value: Decimal, rule: Rule, terms: CurrencyTerms, sign: Sign
) -> Money | None:
    if _says_minor(place.path):
        place.note(rules.NOT_MINOR)
        return None
    # Before it is written out: 1e999999999 would take a gigabyte.
    if not value.is_zero() and value.adjusted() > _MAX_DIGITS:
        place.note(rules.TOO_LARGE)
        return None
    exponent = value.as_tuple().exponent
    if not value.is_zero() and isinstance(exponent, int) and exponent < -_MAX_DIGITS:
        place.note(rules.TOO_FINE)
        return None
    currency = terms.of_bare(place.notes)
    if currency is None:
        return None
    # Zero by itself, for 0e999999999 is one too; copied, since abs() rounds to 28 digits.
    plain = "0" if value.is_zero() else format(value.copy_abs(), "f")
    whole, _, decimals = plain.partition(".")
    number = WrittenNumber(whole, decimals)
    money = _money_of_number(place, number, value.is_signed(), currency, sign)
    if money is not None:
        place.note(rule, money.amount_minor)
    return money


def _read_text(place: Place, raw: str, terms: CurrencyTerms, sign: Sign) -> Money | None:
    text = plain_text(raw)
    if _EXPONENT.fullmatch(text):
        return _read_decimal(place, Decimal(text), rules.WRITTEN, terms, sign)
    parts = _taken_apart(text)
    if parts is None:
        place.note(rules.UNREADABLE)
        return None
    if parts.is_bare:
        return _read_digits(place, parts, terms, sign)
    if _says_minor(place.path):
        place.note(rules.NOT_MINOR)
        return None
    currency = _currency_of(place, parts, terms)
    return None if currency is None else _read_written(place, parts, currency, sign)


def _read_digits(place: Place, parts: _Parts, terms: CurrencyTerms, sign: Sign) -> Money | None:
    digits = parts.number.lstrip("0") or "0"
    if len(digits) > _MAX_DIGITS:
        place.note(rules.TOO_LARGE)
        return None
    currency = terms.of_bare(place.notes)
    amount_minor = -int(digits) if parts.is_negative else int(digits)
    money = _money(place, amount_minor, currency, sign)
    if money is not None:
        place.note(rules.DIGITS, money.amount_minor)
    return money


def _read_written(place: Place, parts: _Parts, currency: Currency, sign: Sign) -> Money | None:
    if parts.is_open:
        number = read_whole(parts.number)
    else:
        number = read_number(parts.number, currency.exponent)
    if number is None:
        place.note(rules.UNREADABLE)
        return None
    money = _money_of_number(place, number, parts.is_negative, currency, sign)
    if money is not None:
        rule = rules.GROUPING if number.by_currency else rules.WRITTEN
        place.note(rule, money.amount_minor)
    return money


def _taken_apart(text: str) -> _Parts | None:
    is_bracketed = text.startswith("(") and text.endswith(")")
    if is_bracketed:
        text = text[1:-1].strip()
    shape = _SHAPE.fullmatch(text) if text.isdecimal() or len(text) <= _MAX_CHARACTERS else None
    if shape is None:
        return None
    before, number, after = shape["before"], shape["number"], shape["after"]
    minus_count = before.count("-") + after.count("-") + is_bracketed
    if minus_count > 1 or (before + after).count("+") > 1:
        return None
    # The point in `Rs.500` ends the symbol; the one in `$.50` begins the decimals.
    if before[-1:].isalpha() and not number[0].isdecimal():
        number = number[1:]
    return _Parts(
        unit_before=before.replace("-", "").replace("+", "").strip(),
        number=number,
        is_open=shape["tail"] is not None,
        unit_after=after.replace("-", "").strip(),
        is_negative=minus_count == 1,
    )


def _currency_of(place: Place, parts: _Parts, terms: CurrencyTerms) -> Currency | None:
    units: list[Unit] = []
    for text in filter(None, (parts.unit_before, parts.unit_after)):
        unit = read_unit(text)
        if unit is None:
            is_code = len(text) == 3 and text.isalpha()
            place.note(rules.CURRENCY_UNKNOWN if is_code else rules.UNREADABLE)
            return None
        units.append(unit)
    if not units:
        return terms.of_bare(place.notes)
    unit_meant = units[0] if len(units) == 1 else units[0].narrowed(units[1])
    if unit_meant is None:
        place.note(rules.TWO_CURRENCIES)
        return None
    return terms.of_unit(unit_meant, place)


def _money_of_number(
    place: Place, number: WrittenNumber, is_negative: bool, currency: Currency, sign: Sign
) -> Money | None:
    if len(number.decimals) > currency.exponent:
        told = f"{currency} has {currency.exponent}, the amount {len(number.decimals)}."
        place.note(rules.TOO_FINE, message=told)
        return None
    digits = (number.whole + number.decimals.ljust(currency.exponent, "0")).lstrip("0") or "0"
    amount_minor = -int(digits) if is_negative else int(digits)
    return _money(place, amount_minor, currency, sign)


def _money(place: Place, amount_minor: int, currency: Currency | None, sign: Sign) -> Money | None:
    if sign is Sign.POSITIVE and amount_minor <= 0:
        place.note(rules.NOT_POSITIVE)
    elif amount_minor == 0:
        place.note(rules.ZERO)
    elif abs(amount_minor) > MAX_AMOUNT_MINOR:
        place.note(rules.TOO_LARGE)
    elif currency is not None:
        return Money(amount_minor, currency)
    return None


def _says_minor(path: str) -> bool:
    return snake_case(path.rpartition(".")[2]) in _MINOR_NAMES
