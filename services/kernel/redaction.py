"""Finds card numbers, security codes and API keys in text and nested values, and masks them.

A card number is 13 to 19 digits, together or in groups, that pass the Luhn check and begin as some
network's cards do. The beginnings matter: one number in ten passes Luhn by chance, but a timestamp
in milli-, micro- or nanoseconds begins with 1 until 2033, and no card does. UUIDs, our own ids,
digests and the decimals of a fraction are passed over. What then still looks like a card is taken
for one, since a number masked in vain costs less than a card in a log. Digits glued to more digits
are not searched for a card within them.

A security code has no form of its own: it is known by the name of its field, or the word before it.

An API key, of ours or of Stripe's, and a secret that signs webhooks are known by their beginning,
and masked as well. They are no card data: whoever asks for card data is not told of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import accumulate
from typing import NamedTuple

CARD_MASK = "[card number]"
CODE_MASK = "[redacted]"
API_KEY_MASK = "[API key]"
DEPTH_MASK = "[too deep]"

_NESTED = (Mapping, list, tuple)
_MAX_DEPTH = 32
_MIN_DIGITS, _MAX_DIGITS = 13, 19

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}"
_SEPARATOR = r"[ \t\u00a0.\-\u2010-\u2015]{0,2}"
_CANDIDATE = re.compile(
    rf"(?<![0-9a-z])(?:{_ID})(?![0-9a-z])|(?P<digits>\d(?:{_SEPARATOR}\d){{12,}})", re.IGNORECASE
)
# What every candidate has; most text lacks it, and learns so in a fraction of the time.
_ENOUGH_DIGITS = re.compile(r"(?:\d\D{0,2}){12}\d")
_GROUP = re.compile(r"\d+")
# Most of what is logged; without c and k in its prefix it is no labelled code, and no API key.
_PLAIN_ID = re.compile(r"[abd-jl-z]{2,6}_[0-9a-f]{32}")

_NETWORKS = (
    (r"4", {13, 16, 19}),  # Visa
    (r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)", {16}),  # Mastercard
    (r"3[47]", {15}),  # American Express
    (r"30|36|38|39", range(14, 20)),  # Diners Club
    (r"35", range(16, 20)),  # JCB
    (r"50|5[6-8]|6", range(13, 20)),  # Maestro, Discover, UnionPay, RuPay, Verve
    (r"81|82|220[0-4]|9792", range(16, 20)),  # RuPay, UnionPay, Mir, Troy
)

_CODE_IN_TEXT = re.compile(
    r"((?:cvc2?|cvv2?|security[ _-]?code|card[ _-]?verification[ _-]?(?:code|value|number)?)"
    r"(?:%5d|is|[^0-9a-z]){0,8})\d{3,4}(?!\d)",
    re.IGNORECASE,
)

# Cut short too, since most of a key is no better to show than all of it.
_API_KEY = re.compile(r"(?:syk|[sr]k_(?:live|test)|whsec)_[0-9A-Za-z]{16,}", re.ASCII)

# `cid` is left out: it names customers and correlations more often than codes.
_CODE_FIELD = re.compile(
    r"(?:.*_)?(?:cvc2?|cvv2?|csc|cvn2?|security_?code|card_?verification|verification_value)"
    r"(?:_?(?:code|number|value))?"
)
_CARD_FIELD = re.compile(
    r"(?:.*_)?(?:card_?(?:number|no|num)|pan|primary_account_number|track_?\d)"
)
_WORD = re.compile(r"[A-Z]*[a-z][a-z0-9]*|[A-Z]+\d*")
# A field so named holds a card number even when a digit is mistyped and Luhn says no.
_CARD_FIELD_MIN_DIGITS = 12


class Span(NamedTuple):
    """Where something was found: text[start:end]."""

    start: int
    end: int


def find_card_numbers(text: str) -> list[Span]:
    """Every card number in the text, in order; those that overlap are joined."""
    spans: list[Span] = []
    if _ENOUGH_DIGITS.search(text) is None:
        return spans
    for candidate in _CANDIDATE.finditer(text):
        if candidate["digits"] is None:
            continue
        for span in _cards_within(text, candidate.start(), candidate.end()):
            if spans and span.start < spans[-1].end:
                spans[-1] = Span(spans[-1].start, max(spans[-1].end, span.end))
            else:
                spans.append(span)
    return spans


def redact_text(text: str) -> str:
    """The text with every card number, labelled security code and API key masked."""
    if text.isalpha() or _PLAIN_ID.fullmatch(text):
        return text
    # What every key has; most text lacks both, and is not searched.
    if "k_" in text or "whsec_" in text:
        text = _API_KEY.sub(API_KEY_MASK, text)
    return _with_card_data_masked(text)


def _with_card_data_masked(text: str) -> str:
    # Cards first: the first group of `cvc 4242 4242 …` must not be taken for a code.
    text = _with_cards_masked(text)
    lowered = text.lower()
    if "cv" in lowered or "code" in lowered or "verification" in lowered:
        text, count = _CODE_IN_TEXT.subn(rf"\1{CODE_MASK}", text)
        # A card after a dot was a code's decimals until the code was gone.
        return _with_cards_masked(text) if count else text
    return text


def _with_cards_masked(text: str) -> str:
    pieces: list[str] = []
    shown_until = 0
    for start, end in find_card_numbers(text):
        pieces += (text[shown_until:start], CARD_MASK)
        shown_until = end
    return "".join(pieces) + text[shown_until:]


def redact_field(name: str, value: object) -> object:
    """The value of a field (or path) of that name with card data and keys masked, at any depth.

    Mappings, lists, tuples, text, bytes and numbers are looked into; a value of any other type
    comes back as it is, and is safe to show only as text that has been redacted.
    """
    return _redacted(name, value, _MAX_DEPTH)


def redact(value: object) -> object:
    """The value with card data and keys masked, at any depth; see redact_field."""
    return _redacted("", value, _MAX_DEPTH)


def find_card_data(value: object) -> tuple[str, ...]:
    """The paths (`card.number`, `items[2].note`) whose key or value holds card data, sorted.

    A path is safe to show: a key that is a card number is masked in it.
    """
    found: set[str] = set()
    # Without recursion, since what merchants send may be nested deep.
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        path, current = waiting.pop()
        match current:
            case Mapping():
                for key, inner in current.items():
                    safe_key = redact_text(str(key))
                    inner_path = f"{path}.{safe_key}" if path else safe_key
                    if _with_card_data_masked(str(key)) != str(key):
                        found.add(inner_path)
                    waiting.append((inner_path, inner))
            case list() | tuple():
                waiting.extend((f"{path}[{i}]", inner) for i, inner in enumerate(current))
            case _:
                redacted = _redacted_leaf(path, current, _with_card_data_masked)
                # Identity first, for NaN is never equal to itself.
                if redacted is not current and redacted != current:
                    found.add(path)
    return tuple(sorted(found))


def _redacted(path: str, value: object, depth_left: int) -> object:
    # Text first, since asking whether something is a Mapping takes longer than all the rest.
    if isinstance(value, str) or not isinstance(value, _NESTED):
        return _redacted_leaf(path, value, redact_text)
    if depth_left == 0:
        return DEPTH_MASK
    if isinstance(value, Mapping):
        return {
            redact_text(key) if isinstance(key, str) else key: _redacted(
                f"{path}.{key}", inner, depth_left - 1
            )
            for key, inner in value.items()
        }
    inner_values = [_redacted(path, inner, depth_left - 1) for inner in value]
    return inner_values if isinstance(value, list) else tuple(inner_values)


def _redacted_leaf(path: str, value: object, mask: Callable[[str], str]) -> object:
    match value:
        case str():
            return _mask_by_name(path, value) or mask(value)
        case bytes():
            text = value.decode(errors="surrogateescape")
            return (_mask_by_name(path, text) or mask(text)).encode(errors="surrogateescape")
        case bool():
            return value
        case int() if abs(value) >= 10**_MAX_DIGITS:
            return value
        case int() | float():
            text = str(value)
            redacted = _mask_by_name(path, text) or mask(text)
            return value if redacted == text else redacted
        case _:
            return value


def _mask_by_name(path: str, text: str) -> str | None:
    """The mask that a field of this name calls for, if its value is such as the name says."""
    # Its end tells; the whole would let whoever sends long names fill the cache.
    mask, min_digits = _named_mask(path[-64:])
    if mask is None or sum(character.isdecimal() for character in text) < min_digits:
        return None
    return mask


@lru_cache(maxsize=1024)
def _named_mask(path: str) -> tuple[str | None, int]:
    """The mask for what such a field holds, and how many digits that has at least."""
    name = "_".join(word.lower() for word in _WORD.findall(path))
    if _CODE_FIELD.fullmatch(name):
        return CODE_MASK, 1
    if _CARD_FIELD.fullmatch(name):
        return CARD_MASK, _CARD_FIELD_MIN_DIGITS
    return None, 0


def _cards_within(text: str, start: int, end: int) -> Iterator[Span]:
    """The longest card number from each group of digits onwards."""
    groups = [Span(*group.span()) for group in _GROUP.finditer(text, start, end)]
    # int() reads the decimal digits of every script; cards may be typed in any.
    digits = [int(character) for first, last in groups for character in text[first:last]]
    offsets = list(accumulate((last - first for first, last in groups), initial=0))
    luhn_sums = _luhn_sums(digits)
    cards_end = -1
    for i, group in enumerate(groups):
        lengths = _card_lengths(tuple(digits[offsets[i] : offsets[i] + 4]))
        # A dot after a card ends a sentence; after another number it begins the decimals.
        is_fraction = _is_fraction(text, group.start) and cards_end != group.start - 1
        if not lengths or is_fraction:
            continue
        for last in reversed(range(i, min(i + _MAX_DIGITS, len(groups)))):
            begin, stop = offsets[i], offsets[last + 1]
            # Running sums keep this a subtraction a window: the input may be hostile and long.
            sums = luhn_sums[stop % 2]
            if (
                stop - begin in lengths
                and (sums[stop] - sums[begin]) % 10 == 0
                and _is_plausible_grouping(text, groups[i : last + 1])
            ):
                cards_end = max(cards_end, groups[last].end)
                yield Span(group.start, groups[last].end)
                break


def _luhn_sums(digits: list[int]) -> tuple[list[int], list[int]]:
    """Running Luhn sums of numbers that stop at an even and at an odd offset.

    Every second digit counts double, from the one before the last backwards.
    """
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits]
    in_turn = (
        [doubled[i] if i % 2 == parity else digit for i, digit in enumerate(digits)]
        for parity in (0, 1)
    )
    even, odd = (list(accumulate(values, initial=0)) for values in in_turn)
    return even, odd


@cache
def _card_lengths(beginning: tuple[int, ...]) -> frozenset[int]:
    """How long the cards are that begin with these four digits."""
    text = "".join(map(str, beginning))
    return frozenset(
        n for pattern, lengths in _NETWORKS if re.match(pattern, text) for n in lengths
    )


def _is_fraction(text: str, start: int) -> bool:
    return start >= 2 and text[start - 1] == "." and text[start - 2].isdecimal()


def _is_plausible_grouping(text: str, groups: list[Span]) -> bool:
    """Whether people group card numbers so; dates, times and decimals are grouped otherwise."""
    sizes = [end - start for start, end in groups]
    if len(set(sizes)) == 1:
        return True
    is_dotted = "." in text[groups[0].start : groups[-1].end]
    return min(sizes[:-1]) >= 3 and (not is_dotted or max(sizes) <= 7)
