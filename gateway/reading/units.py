"""The symbols, codes and words that people write beside an amount, and the currencies they mean."""

import re
import unicodedata
from typing import Final, NamedTuple

from gateway.reading.notes import Notes, Place
from gateway.reading.rules import amounts as rules
from gateway.reading.rules import fields
from gateway.reading.rules.rule import Rule
from services.kernel.money import Currency

CURRENCIES: Final = {currency.code: currency for currency in Currency.all()}

_DOLLARS: Final = (
    "USD AUD BBD BMD BND BSD BZD CAD FJD GYD HKD JMD KYD LRD NAD NZD SBD SGD SRD TTD TWD XCD "
    "ARS CLP COP MXN UYU"
)
# The first is meant where nothing else decides.
_DECIDED: Final = {
    "$": _DOLLARS,
    "dollar": _DOLLARS,
    "dollars": _DOLLARS,
    "£": "GBP EGP FKP GIP LBP SHP SYP",
    "¥": "JPY CNY",
    "₩": "KRW KPW",
    "€": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "us$": "USD",
    "$us": "USD",
    "u$s": "USD",
    "a$": "AUD",
    "au$": "AUD",
    "c$": "CAD",
    "ca$": "CAD",
    "can$": "CAD",
    "nz$": "NZD",
    "hk$": "HKD",
    "s$": "SGD",
    "sg$": "SGD",
    "nt$": "TWD",
    "r$": "BRL",
    "mx$": "MXN",
    "jp¥": "JPY",
    "円": "JPY",
    "yen": "JPY",
    "cn¥": "CNY",
    "rmb": "CNY",
    "元": "CNY",
    "₹": "INR",
    "fr": "CHF",
    "sfr": "CHF",
    "zł": "PLN",
    "kč": "CZK",
    "ft": "HUF",
    "lei": "RON",
    "₺": "TRY",
    "tl": "TRY",
    "₽": "RUB",
    "₴": "UAH",
    "₪": "ILS",
    "₫": "VND",
    "đ": "VND",
    "฿": "THB",
    "₱": "PHP",
    "₦": "NGN",
    "₵": "GHS",
    "gh₵": "GHS",
    "₡": "CRC",
    "₲": "PYG",
    "₸": "KZT",
    "₮": "MNT",
    "₭": "LAK",
    "₼": "AZN",
    "₾": "GEL",
    "r": "ZAR",
    "rm": "MYR",
    "rp": "IDR",
    "s/": "PEN",
    "kd": "KWD",
    "د.ك": "KWD",
    "د.إ": "AED",
    "ر.س": "SAR",
}
# Common in several places alike: something else has to say which.
_UNDECIDED: Final = {
    "kr": "SEK NOK DKK ISK",
    "rs": "INR PKR LKR NPR MUR SCR",
    "₨": "INR PKR LKR NPR MUR SCR",
    "﷼": "SAR IRR OMR QAR YER",
}
_LOOKALIKES: Final = {
    "\u2019": "'",
    "\u02bc": "'",
    "\u066b": ".",
    "\u066c": ",",
    "\u2212": "-",
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2014": "-",
}
_CODE_AND_SYMBOL: Final = re.compile(r"(?P<code>[a-z]{3})\s*(?P<symbol>\W+)", re.ASCII)
_SYMBOL_AND_CODE: Final = re.compile(r"(?P<symbol>\W+)\s*(?P<code>[a-z]{3})", re.ASCII)


class Unit(NamedTuple):
    """What a symbol, code or word may mean, and what it means where nothing else decides."""

    codes: tuple[str, ...]
    default: str | None

    def narrowed(self, other: "Unit") -> "Unit | None":
        """What both may mean; None if they contradict each other."""
        codes = tuple(code for code in self.codes if code in other.codes)
        if not codes:
            return None
        default = codes[0] if len(codes) == 1 else self.default
        return Unit(codes, default if default in codes else None)


_UNITS: Final = {
    **{code.lower(): Unit((code,), code) for code in CURRENCIES},
    **{
        text: Unit(tuple(codes.split()), None if text in _UNDECIDED else codes.split()[0])
        for text, codes in {**_DECIDED, **_UNDECIDED}.items()
    },
}


def unit_of(currency: Currency) -> Unit:
    """The unit that means one currency and no other."""
    return _UNITS[currency.code.lower()]


def plain_text(text: str) -> str:
    """The text with its digits, spaces, signs and separators as ASCII has them, and trimmed.

    Digits of any script count, and full-width forms; a superscript is no digit, and stays.
    """
    text = text.strip()
    return text if text.isascii() else "".join(map(_plain_character, text)).strip()


def _plain_character(character: str) -> str:
    if character.isdecimal():
        return str(int(character))
    if character.isspace():
        return " "
    if unicodedata.category(character) == "Cf":
        return ""
    # Full-width and small forms alone: elsewhere the same folding would make other characters.
    folds = "\uff00" <= character <= "\uffef" or "\ufe50" <= character <= "\ufe6f"
    character = unicodedata.normalize("NFKC", character) if folds else character
    return _LOOKALIKES.get(character, character)


def read_unit(text: str) -> Unit | None:
    """What a symbol, a code, a word, or a code beside its symbol may mean."""
    text = text.strip().lower()
    unit = _UNITS.get(text) or _UNITS.get(text.rstrip("."))
    if unit is not None:
        return unit
    both = _CODE_AND_SYMBOL.fullmatch(text) or _SYMBOL_AND_CODE.fullmatch(text)
    if both is None:
        return None
    code, symbol = _UNITS.get(both["code"]), _UNITS.get(both["symbol"].strip())
    return code.narrowed(symbol) if code and symbol else None


class CurrencyTerms(NamedTuple):
    """What decides the currency of an amount that does not name one, or may name several.

    `stated` is what the currency field says; `fallback` is taken where there is none, and the
    rule, if there is one, noted.
    """

    stated: Unit | None = None
    fallback: Currency | None = None
    fallback_rule: Rule | None = None

    def of_bare(self, notes: Notes) -> Currency | None:
        """The currency of an amount that names none."""
        stated = self.stated
        if stated is not None:
            if len(stated.codes) == 1:
                return CURRENCIES[stated.codes[0]]
            return self._chosen(stated, Place(notes, "currency", ""))
        if self.fallback is None:
            notes.note(rules.CURRENCY_MISSING, "currency")
        elif self.fallback_rule is not None:
            notes.note(self.fallback_rule, "currency", "", self.fallback.code)
        return self.fallback

    def of_unit(self, unit: Unit, place: Place) -> Currency | None:
        """The currency of an amount that names one itself."""
        narrowed = unit.narrowed(self.stated) if self.stated is not None else unit
        chosen = self._chosen(narrowed or unit, place)
        if chosen is not None and self.stated is None:
            place.note(rules.CURRENCY_WITHIN, chosen.code)
        if chosen is not None and narrowed is None:
            place.note(rules.CURRENCY_WINS, chosen.code)
        return chosen

    def _chosen(self, unit: Unit, place: Place) -> Currency | None:
        if len(unit.codes) == 1:
            return CURRENCIES[unit.codes[0]]
        fallback = self.fallback.code if self.fallback is not None else ""
        code = fallback if fallback in unit.codes else unit.default
        listed = f"It may be {', '.join(unit.codes)}."
        if code is None:
            place.note(rules.CURRENCY_AMBIGUOUS, message=listed)
            return None
        place.note(rules.SYMBOL_AMBIGUOUS, code, message=listed)
        return CURRENCIES[code]


def read_currency(notes: Notes, path: str, value: object) -> Unit | None:
    """What the currency field means."""
    if isinstance(value, str):
        if value in CURRENCIES:
            return _UNITS[value.lower()]
        text = plain_text(value)
        if not text:
            notes.note(fields.TEXT_EMPTY, path, value)
            return None
        unit = read_unit(text)
        if unit is not None:
            notes.note(rules.CURRENCY_FORM, path, value, unit.default or "")
            return unit
    notes.note(rules.CURRENCY_UNKNOWN, path, value)
    return None
