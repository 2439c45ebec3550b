"""Which field is meant: however it is spelled or called, within an object or in the query."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.reading.notes import Notes
from gateway.reading.rules import fields

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_MAX_NAME_CHARACTERS: Final = 64

Claim = tuple[str, object]
"""A path, and the value that was sent there."""

Claims = dict[str, list[Claim]]
"""What was sent for each field, by its canonical name."""


@dataclass(frozen=True)
class Vocabulary:
    """The fields of an operation: by the key that names each, by other names, and the objects that
    they may come within.

    An envelope is an object whose fields count as the request's own. In a record they have other
    names: the `id` of a `customer` is a `user_id`.
    """

    canonical: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    envelopes: frozenset[str] = frozenset()
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spelled = {snake_case(key): name for key, name in self.canonical.items()}
        # Worked out once, since every key of every request is looked up in it.
        object.__setattr__(self, "aliases", {**self.aliases, **spelled})

    def meaning(self, key: str) -> str | None:
        """The field that a key of any spelling means."""
        return self.aliases.get(snake_case(key))

    def key_of(self, name: str) -> str:
        """The key that a field should be sent under."""
        return next(key for key, field_name in self.canonical.items() if field_name == name)


def snake_case(key: str) -> str:
    """The key as snake_case, whatever it was: captureMethod, CAPTURE-METHOD, Capture method."""
    # Longer keys mean nothing here, and would let whoever sends them fill the cache.
    return _snake_case(key) if len(key) <= _MAX_NAME_CHARACTERS else key


@lru_cache(maxsize=1024)
def _snake_case(key: str) -> str:
    return "_".join(word.lower() for word in _WORD.findall(key))


def gather(
    vocabulary: Vocabulary, body: Mapping[str, object], query: Mapping[str, object], notes: Notes
) -> Claims:
    """Everything that was said, by field; what is null was not said."""
    claims = gather_object(vocabulary, body, "", notes)
    for key, text in query.items():
        path = f"query.{key}"
        name = vocabulary.meaning(key)
        if name is None:
            notes.note(fields.UNKNOWN, path, text)
        else:
            notes.note(fields.IN_QUERY, path, text, vocabulary.key_of(name))
            claims.setdefault(name, []).append((path, text))
    return claims


def gather_object(
    vocabulary: Vocabulary, values: Mapping[str, object], within: str, notes: Notes
) -> Claims:
    """What an object says, by field; paths begin with `within`."""
    gathering = _Gathering(vocabulary, {}, notes)
    gathering.add(values, within)
    return gathering.claims


class _Gathering(NamedTuple):
    """What is said so far, and by which vocabulary it is understood."""

    vocabulary: Vocabulary
    claims: Claims
    notes: Notes

    def add(self, values: Mapping[str, object], within: str) -> None:
        canonical, claims = self.vocabulary.canonical, self.claims
        for key, value in values.items():
            if value is None:
                continue
            name = canonical.get(key)
            if name is None:
                self._add_unusual(key, value, within + key)
            elif name in claims:
                claims[name].append((within + key, value))
            else:
                claims[name] = [(within + key, value)]

    def _add_unusual(self, key: str, value: object, path: str) -> None:
        vocabulary, spelled = self.vocabulary, snake_case(key)
        name = vocabulary.meaning(key)
        if isinstance(value, dict) and spelled in vocabulary.envelopes:
            self.notes.note(fields.NESTED, path)
            self.add(value, f"{path}.")
        elif isinstance(value, dict) and spelled in vocabulary.records:
            self.notes.note(fields.NESTED, path)
            self._add_record(spelled, value, path)
        elif name is None:
            self.notes.note(fields.UNKNOWN, path, value)
        else:
            rule = fields.SPELLING if spelled == snake_case(name) else fields.ALIAS
            self.notes.note(rule, path, key, vocabulary.key_of(name))
            self.claims.setdefault(name, []).append((path, value))

    def _add_record(self, record: str, values: Mapping[str, object], within: str) -> None:
        names = self.vocabulary.records[record]
        for key, value in values.items():
            path, spelled = f"{within}.{key}", snake_case(key)
            if value is None:
                continue
            if isinstance(value, dict) and spelled in self.vocabulary.records:
                self._add_record(spelled, value, path)
            elif spelled in names:
                self.claims.setdefault(names[spelled], []).append((path, value))
            else:
                self.notes.note(fields.UNKNOWN, path, value)
