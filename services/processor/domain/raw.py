"""A processor's answer as it may be kept: without secrets, bounded, and plain enough for any store.

What comes in may be hostile: very deep, very long, numbers that are none. What goes out can be
written as JSON and as protobuf, whatever came in.
"""

import math
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final

from services.kernel.redaction import redact

MASK: Final = "[redacted]"

_MAX_DEPTH: Final = 12
_MAX_ITEMS: Final = 200
_MAX_TEXT_CHARACTERS: Final = 2_000
# Beyond this a JSON number, which is a double, is no longer exact.
_MAX_WHOLE: Final = 2**53


def keepable(answer: Mapping[str, object], secret_names: Collection[str] = ()) -> dict[str, object]:
    """The answer with card data and the values of secret fields taken out, cut to size."""
    kept = _kept(answer, frozenset(secret_names), _MAX_DEPTH)
    redacted = redact(kept)
    assert isinstance(redacted, dict)
    return redacted


def excerpt(text: str) -> str:
    """The beginning of a text that is no answer, enough to tell what it was."""
    return text[:500]


def _kept(value: object, secret_names: frozenset[str], depth_left: int) -> object:
    if isinstance(value, Mapping | list | tuple) and depth_left == 0:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {
            _text(str(name)): MASK
            if name in secret_names and inner is not None
            else _kept(inner, secret_names, depth_left - 1)
            for name, inner in islice(value.items(), _MAX_ITEMS)
        }
    if isinstance(value, list | tuple):
        return [_kept(inner, secret_names, depth_left - 1) for inner in value[:_MAX_ITEMS]]
    return _kept_leaf(value)


def _kept_leaf(value: object) -> object:
    match value:
        case None | bool():
            return value
        case int() if abs(value) <= _MAX_WHOLE:
            return value
        case int():
            return _text(hex(value))
        case float():
            return value if math.isfinite(value) else str(value)
        case _:
            return _text(value if isinstance(value, str) else repr(value))


def _text(text: str) -> str:
    # Lone surrogates cannot be written as UTF-8.
    return text[:_MAX_TEXT_CHARACTERS].encode(errors="replace").decode()
