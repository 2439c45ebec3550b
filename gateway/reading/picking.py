"""Picking a field out of what was said: once, twice in agreement, or in contradiction."""

from collections.abc import Callable
from typing import TypeVar

from gateway.reading.names import Claim, Claims
from gateway.reading.notes import Notes
from gateway.reading.rules import fields

FieldT = TypeVar("FieldT")
Reader = Callable[[Notes, str, object], FieldT | None]
"""Reads the value at a path; None where it was remarked on and cannot be used."""


def pick(claims: Claims, name: str, read: Reader[FieldT], notes: Notes) -> FieldT | None:
    """The field as `read` reads it; None if it was not sent or cannot be used."""
    sent = claims.get(name)
    if sent is None:
        return None
    if len(sent) > 1:
        return _agreed(sent, read, notes)
    path, value = sent[0]
    return read(notes, path, value)


def _agreed(sent: list[Claim], read: Reader[FieldT], notes: Notes) -> FieldT | None:
    first: tuple[str, FieldT] | None = None
    for path, raw in sent:
        value = read(notes, path, raw)
        if value is None:
            continue
        if first is None:
            first = path, value
        else:
            agrees = value == first[1]
            rule = fields.REPEATED if agrees else fields.CONFLICT
            told = f"{first[0]} and {path} {'agree' if agrees else 'differ'}."
            notes.note(rule, path, raw, message=told)
    return first[1] if first is not None else None
