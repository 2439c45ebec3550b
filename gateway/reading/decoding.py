"""Bytes to JSON values: exact numbers, and no more of anything than a request may hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Never

from gateway.reading.notes import Notes, Refusal
from gateway.reading.rules import bodies
from services.kernel.context import ValidationIssue

MAX_DEPTH: Final = 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much a body may hold; each bounds the work that reading it can be made to cost."""

    max_bytes: int
    max_values: int


PAYMENT_LIMITS: Final = BodyLimits(max_bytes=64 * 1024, max_values=1_000)
LEDGER_LIMITS: Final = BodyLimits(max_bytes=2 * 1024 * 1024, max_values=50_000)


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """A JSON object, with what had to be overlooked to read it."""

    values: Mapping[str, object]
    issues: tuple[ValidationIssue, ...] = ()


class _NotFiniteError(Exception):
    """The body says NaN or Infinity, which Python would read."""


class _KeyRepeatedError(Exception):
    """Some object has a key twice, so that the body is read again, slowly, to see which."""


def decode_json(raw: bytes, limits: BodyLimits = PAYMENT_LIMITS) -> DecodedBody:
    """The body as a JSON object; an absent one is empty. Numbers are int or Decimal, never float.

    Raises Refusal.
    """
    notes = Notes()
    if len(raw) > limits.max_bytes:
        raise Refusal.of(bodies.TOO_LARGE, message=f"It has {len(raw)}.")
    if raw.startswith(_BYTE_ORDER_MARK):
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
        notes.note(bodies.BYTE_ORDER_MARK, "")
    if not raw.strip():
        return DecodedBody({}, notes.settle())
    value = _decoded(raw, notes)
    _check_extent(raw, value, limits)
    if not isinstance(value, dict):
        raise Refusal.of(bodies.NOT_OBJECT)
    return DecodedBody(value, notes.settle())


def _decoded(raw: bytes, notes: Notes) -> object:
    try:
        text = raw.decode()
        try:
            return _DECODER.decode(text)
        except _KeyRepeatedError:
            return _repeating_decoder(notes).decode(text)
    except _NotFiniteError as error:
        raise Refusal.of(bodies.NOT_FINITE) from error
    except RecursionError as error:
        raise Refusal.of(bodies.TOO_DEEP) from error
    # Not UTF-8, not JSON, an integer of thousands of digits, an exponent beyond any Decimal.
    except (ValueError, InvalidOperation) as error:
        raise Refusal.of(bodies.MALFORMED) from error


def _refuse_constant(name: str) -> Never:
    raise _NotFiniteError(name)


def _object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _KeyRepeatedError
    return values


# One for all calls, since making one costs as much as decoding a payment.
_DECODER: Final = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object_of
)


def _repeating_decoder(notes: Notes) -> json.JSONDecoder:
    def object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        _note_repeated(pairs, notes)
        return dict(pairs)

    return json.JSONDecoder(
        parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=object_of
    )


def _note_repeated(pairs: list[tuple[str, object]], notes: Notes) -> None:
    first: dict[str, object] = {}
    for key, value in pairs:
        if key not in first:
            first[key] = value
        # By type as well, for true equals 1.
        elif type(first[key]) is type(value) and first[key] == value:
            notes.note(bodies.KEY_REPEATED, key)
        else:
            notes.note(bodies.KEY_CONFLICT, key)


def _check_extent(raw: bytes, value: object, limits: BodyLimits) -> None:
    opened = raw.count(b"[") + raw.count(b"{")
    # Most bodies cannot break a limit, which counting bytes proves in a fraction of the time.
    if opened <= MAX_DEPTH and raw.count(b",") + opened < limits.max_values:
        return
    level, count = [value], 1
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _values_within(outer)]
        count += len(level)
        if count > limits.max_values:
            raise Refusal.of(bodies.TOO_MANY_VALUES)
        if not level:
            return
    raise Refusal.of(bodies.TOO_DEEP)


def _values_within(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
