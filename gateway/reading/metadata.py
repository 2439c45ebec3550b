"""Metadata: whatever a merchant wants kept with the payment, as short texts under short keys."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from gateway.reading.names import Claim
from gateway.reading.notes import Notes
from gateway.reading.rules import fields
from gateway.reading.rules import payments as rules
from gateway.reading.values import text_of
from services.kernel.context import (
    MAX_METADATA_ENTRIES,
    MAX_METADATA_KEY_CHARACTERS,
    MAX_METADATA_VALUE_CHARACTERS,
)

_OWN_KEY: Final = "metadata"


def read_metadata(notes: Notes, path: str, value: object) -> dict[str, str]:
    """The metadata as flat text; an object within becomes entries with dotted keys."""
    if not isinstance(value, dict):
        notes.note(rules.METADATA_SHAPE, path, value)
        value = {_OWN_KEY: value}
    entries: dict[str, str] = {}
    for key, inner in value.items():
        if type(inner) is str:
            _keep(entries, key, inner, (f"{path}.{key}", inner), notes)
        else:
            for inner_key, text, claim in _flattened(f"{path}.{key}", key, inner, notes):
                _keep(entries, inner_key, text, claim, notes)
    return entries


def add_entry(entries: dict[str, str], name: str, claim: Claim, notes: Notes) -> None:
    """Keep a field that a payment has no other place for."""
    path, value = claim
    if name in entries:
        notes.note(fields.UNKNOWN, path, value)
        return
    notes.note(rules.METADATA_ADDED, path, value)
    for key, text, inner_claim in _flattened(path, name, value, notes):
        _keep(entries, key, text, inner_claim, notes)


def check_count(entries: Mapping[str, str], path: str, notes: Notes) -> None:
    """Refuse more entries than a payment keeps."""
    if len(entries) > MAX_METADATA_ENTRIES:
        notes.note(rules.METADATA_COUNT, path, message=f"It has {len(entries)}.")


def _flattened(
    path: str, key: str, value: object, notes: Notes
) -> Iterator[tuple[str, str, Claim]]:
    claim = (path, value)
    if isinstance(value, str):
        yield key, value, claim
    elif value is None:
        notes.note(rules.METADATA_NULL, path, value)
    elif isinstance(value, dict) and value:
        notes.note(rules.METADATA_FLATTENED, path, value)
        for inner_key, inner in value.items():
            yield from _flattened(f"{path}.{inner_key}", f"{key}.{inner_key}", inner, notes)
    elif isinstance(value, dict | list):
        text = _json_text(value)
        notes.note(rules.METADATA_JSON, path, value, text)
        yield key, text, claim
    else:
        text = text_of(value)
        notes.note(rules.METADATA_TEXT, path, value, text)
        yield key, text, claim


def _keep(entries: dict[str, str], key: str, text: str, claim: Claim, notes: Notes) -> None:
    path, raw = claim
    if not 0 < len(key) <= MAX_METADATA_KEY_CHARACTERS:
        notes.note(rules.METADATA_KEY, path, raw)
    elif len(text) > MAX_METADATA_VALUE_CHARACTERS:
        notes.note(rules.METADATA_VALUE, path, raw, message=f"It has {len(text)}.")
    elif entries.setdefault(key, text) != text:
        notes.note(fields.CONFLICT, path, raw, message=f"{path} and {key} differ.")


def _json_text(value: object) -> str:
    if isinstance(value, dict):
        inner = (f"{_json_text(key)}:{_json_text(value[key])}" for key in value)
        return f"{{{','.join(inner)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_json_text, value))}]"
    # Exactly as it was sent: through float, 2.50 would become 2.5 and long numbers others.
    if isinstance(value, Decimal):
        return text_of(value)
    return json.dumps(value, ensure_ascii=False)
