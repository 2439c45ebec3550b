"""Keeps card data out: finds it in every key and value of a request before anything else is read.

The search is wider than the one that cleans logs. Beside what `services.kernel.redaction` finds, it
sees through separators that people do not use but programs do, and through invisible characters,
and it takes a field that is named for a security code for one whatever it holds.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.reading.decoding import MAX_DEPTH
from gateway.reading.notes import Notes, Refusal
from gateway.reading.rules import bodies
from services.kernel.redaction import CARD_MASK, CODE_MASK, redact_field, redact_text

# A letter, through which no number is searched for, so that none is found across two texts.
_BETWEEN: Final = " x "
_ENOUGH_DIGITS: Final = re.compile(r"(?:\d[^0-9A-Za-z]{0,6}){12}\d")
# A part of every name by which card data is known.
_TELLING_NAMES: Final = ("cv", "csc", "code", "verif", "card", "pan", "primary", "track")
_MAX_KNOWN_NAMES: Final = 1024
_UNUSABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
_INVISIBLE: Final = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# One point or dash stays, for it tells decimals and dates from cards.
_SEPARATORS: Final = re.compile(r"[\W_]{2,}|[^\w.\-\u2010-\u2015]|_")
_MIN_CARD: Final = 10**12
_MAX_WRITTEN_OUT: Final = 24


class _Place(NamedTuple):
    path: str
    mask: str


class _Texts(NamedTuple):
    """All the text of a request."""

    names: list[str]
    values: list[str]


def without_card_data(
    values: Mapping[str, object], notes: Notes, within: str = ""
) -> Mapping[str, object]:
    """The values as they are, or with card data masked and a refusal noted for each place of it.

    Raises Refusal where a text cannot be stored at all.
    """
    texts = _Texts([], [])
    _collect(values, texts, 1)
    # Most requests hold nothing of the kind, and learn so from one search over all their text.
    if not may_hold_card_data(_BETWEEN.join(texts.names), _BETWEEN.join(texts.values)):
        return values
    places: list[_Place] = []
    masked = dict(_masked_entries(within, values, places))
    if not places:
        return values
    for path, mask in dict.fromkeys(places):
        notes.note(bodies.CARD_CODE if mask == CODE_MASK else bodies.CARD_NUMBER, path, mask)
    notes.hide({place.path for place in places})
    return masked


def _collect(value: object, texts: _Texts, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refusal.of(bodies.TOO_DEEP)
    inner_values = value
    if isinstance(value, dict):
        texts.names.extend(value)
        inner_values = value.values()
    for inner in inner_values:  # type: ignore[attr-defined]  # only containers come here
        kind = type(inner)
        if kind is str:
            texts.values.append(inner)
        elif kind is dict or kind is list:
            _collect(inner, texts, depth + 1)
        elif kind is int:
            if not -_MIN_CARD < inner < _MIN_CARD:
                texts.values.append(str(inner))
        elif kind is Decimal:
            texts.values.append(_written_out(inner))


def may_hold_card_data(names: str, text: str) -> bool:
    """Whether the names of fields, or the text in them, are worth a closer look.

    Raises Refusal where they cannot be stored at all.
    """
    for every in (names, text):
        if "\x00" in every or (not every.isascii() and _UNUSABLE.search(every)):
            raise Refusal.of(bodies.TEXT_UNUSABLE)
    lowered = text.lower()
    return (
        "cv" in lowered
        or "code" in lowered
        or "verif" in lowered
        or _ENOUGH_DIGITS.search(text) is not None
        or _ENOUGH_DIGITS.search(names) is not None
        or (_are_telling_known(names) if len(names) <= _MAX_KNOWN_NAMES else _are_telling(names))
    )


def _are_telling(names: str) -> bool:
    lowered = names.lower()
    return any(part in lowered for part in _TELLING_NAMES)


# The names are the same in almost every request of a merchant; none with a card in it is kept.
_are_telling_known: Final = lru_cache(maxsize=256)(_are_telling)


def _masked_entries(
    within: str, values: Mapping[str, object], places: list[_Place]
) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        mask = _mask_of_text("", key)
        safe_key = mask or key
        path = f"{within}.{safe_key}" if within else safe_key
        if mask:
            places.append(_Place(path, mask))
        yield safe_key, _masked(path, value, places)


def _masked(path: str, value: object, places: list[_Place]) -> object:
    # Any digit will do to ask whether the name alone tells of a security code.
    if value is not None and redact_field(path, "0") == CODE_MASK:
        mask: str | None = CODE_MASK
    elif isinstance(value, dict):
        return dict(_masked_entries(path, value, places))
    elif isinstance(value, list):
        return [_masked(f"{path}[{i}]", inner, places) for i, inner in enumerate(value)]
    else:
        mask = _mask_of_leaf(path, value)
    if mask is None:
        return value
    places.append(_Place(path, mask))
    return mask


def _mask_of_leaf(path: str, value: object) -> str | None:
    if isinstance(value, str):
        return _mask_of_text(path, value)
    if isinstance(value, int | Decimal):
        return _mask_of_text(path, _written_out(Decimal(value)))
    return None


def _mask_of_text(path: str, text: str) -> str | None:
    for form in {text, _SEPARATORS.sub(" ", _INVISIBLE.sub("", text))}:
        redacted = str(redact_field(path, form)) if path else redact_text(form)
        if redacted != form:
            return CARD_MASK if CARD_MASK in redacted else CODE_MASK
    return None


def _written_out(number: Decimal) -> str:
    # 4.2e15 hides the digits that 4200000000000000 shows; beyond any card it may stay short.
    if abs(number.adjusted()) <= _MAX_WRITTEN_OUT:
        return format(number, "f")
    return str(number)
