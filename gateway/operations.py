"""What the gateway does, declared: each operation says how it is asked and what it may be told.

An operation's declaration is what routes it and what /openapi.json says of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.auth import Scope
from gateway.exchange import Answer

JsonSchema = Mapping[str, Any]
PREFIX: Final = "/api/v1"

_ANYONE: Final = (400, 500, 503)
_CALLERS: Final = (*_ANYONE, 401, 403, 429, 504)


@dataclass(frozen=True)
class Parameter:
    """A value in the path, the query or a header."""

    name: str
    place: str
    meaning: str
    schema: JsonSchema
    example: Any = None


@dataclass(frozen=True)
class Success:
    """What is told when it goes well: a shape, or a media type of its own."""

    meaning: str
    shape: Any
    media_type: str = "application/json"


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    name: str
    method: str
    path: str
    summary: str
    answer: Answer
    successes: Mapping[int, Success]
    refusals: Sequence[int] = ()
    """The statuses of its problems, beside those that every operation may be answered with."""
    scope: Scope | None = None
    needs_key: bool = True
    body: JsonSchema | None = None
    parameters: Sequence[Parameter] = field(default_factory=tuple)
    tag: str = "payments"
    body_media_type: str = "application/json"

    @property
    def problem_statuses(self) -> Sequence[int]:
        known = _CALLERS if self.needs_key else _ANYONE
        return sorted({*known, *self.refusals})
