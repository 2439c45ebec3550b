"""What the store keeps beside entities, and how its lists are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.domain.work import Entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request that reached the processor, in the order of the table's columns."""

    sequence: int
    request_id: str
    account: str | None
    at: int
    method: str
    path: str
    operation: str | None
    idempotency_key: str | None
    parameters: str
    outcome: str
    status: int | None
    error_code: str | None
    object_id: str | None
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What an idempotency key replays."""

    account: str
    key: str
    created: int
    path: str
    fingerprint: str
    request_id: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: int
    event: str
    endpoint: str
    state: str = "pending"
    tries: int = 0
    next_at: float = 0.0
    last_result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list, newest first."""

    entities: tuple[Entity, ...]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """What to list: conditions are SQL over the entities' columns, with their values."""

    conditions: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    limit: int = 10
    after: Entity | None = None
    before: Entity | None = None
