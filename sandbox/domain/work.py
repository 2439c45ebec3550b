"""One request's unit of work: what it reads, what it changes, what it announces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypedDict, TypeVar

import msgspec

from sandbox import codec
from sandbox.errors import missing
from sandbox.seed import Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Anything with an id that belongs to one account."""

    kind: ClassVar[str]
    prefix: ClassVar[str]

    id: str
    sequence: int
    account: str
    created: int

    @property
    def due_at(self) -> int | None:
        """When the passing of time alone will change this entity; None for never."""
        return None


E = TypeVar("E", bound=Entity)


class Identity(TypedDict):
    """What every new entity is born with."""

    id: str
    sequence: int
    account: str
    created: int


NOTHING_BEFORE: Final = b"{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Entity):
    """Something that happened, with the entity as it was right then."""

    kind: ClassVar[str] = "event"
    prefix: ClassVar[str] = "evt"

    type: str
    object_kind: str
    snapshot: msgspec.Raw
    # How the entity was before, if this event tells of an update.
    previous: msgspec.Raw
    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a piece of work comes from: an API request, or (all None) the passing of time."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Books(Protocol):
    """Where entities are found and numbers are drawn."""

    def find(self, kind: type[E], entity_id: str) -> E | None:
        """The entity of this id, whoever owns it."""

    def next_sequence(self) -> int:
        """A number no entity has had before."""


@dataclass(kw_only=True)
class Work:
    """Reads through to the books; keeps what it changes to itself until it is committed."""

    books: Books
    seed: Seed
    account: str
    now: int
    origin: Origin = field(default_factory=Origin)
    changed: dict[str, Entity] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def identity(self, kind: type[Entity]) -> Identity:
        """The birth certificate of a new entity."""
        sequence = self.books.next_sequence()
        return Identity(
            id=f"{kind.prefix}_{self.seed.token('id', sequence)}",
            sequence=sequence,
            account=self.account,
            created=self.now,
        )

    def find(self, kind: type[E], entity_id: str) -> E | None:
        """The account's entity of this id, if there is one."""
        found = self.changed.get(entity_id) or self.books.find(kind, entity_id)
        return found if isinstance(found, kind) and found.account == self.account else None

    def get(self, kind: type[E], entity_id: str, *, param: str = "id") -> E:
        """The account's entity of this id; anything else is a 404 that names the parameter."""
        found = self.find(kind, entity_id)
        if found is None:
            raise missing(kind.kind, entity_id, param=param)
        return found

    def put(self, entity: E) -> E:
        """Make an entity part of what this work changes."""
        self.changed[entity.id] = entity
        return entity

    def emit(self, event_type: str, entity: Entity, *, previous: Entity | None = None) -> None:
        """Announce what happened to an entity; `previous` is how it was before an update."""
        before = NOTHING_BEFORE if previous is None else codec.encode(previous)
        event = Event(
            **self.identity(Event),
            type=event_type,
            object_kind=entity.kind,
            snapshot=msgspec.Raw(codec.encode(entity)),
            previous=msgspec.Raw(before),
            request_id=self.origin.request_id,
            idempotency_key=self.origin.idempotency_key,
        )
        self.events.append(self.put(event))


def merged_metadata(present: dict[str, str], given: dict[str, Any] | None) -> dict[str, str]:
    """Metadata after an update: named keys are set, empty values unset, None unsets all."""
    if given is None:
        return {}
    return {k: v for k, v in (present | given).items() if v != ""}
