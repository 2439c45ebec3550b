"""The outside truth: what the processor did and was asked to do, in its own words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

import msgspec

from sandbox.rows import Attempt, Delivery
from sandbox.storage import Storage

ENTITY_LISTS: Final = {
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "balance_transactions": "balance_transaction",
    "events": "event",
}
_ROW_LISTS: Final = {
    "attempts": ("attempts", "sequence", Attempt),
    "deliveries": ("deliveries", "id", Delivery),
}
LISTS: Final = (*ENTITY_LISTS, *_ROW_LISTS)
# Events repeat what the other lists say, so they come only when they are asked for.
DEFAULT_LISTS: Final = tuple(name for name in LISTS if name != "events")


def read_record(
    storage: Storage,
    *,
    lists: tuple[str, ...] = DEFAULT_LISTS,
    account: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> dict[str, list[Any]]:
    """The lists asked for, oldest first; `after` and `limit` page each by its sequence."""
    rows = -1 if limit is None else limit
    return {
        name: _entities(storage, ENTITY_LISTS[name], account, after, rows)
        if name in ENTITY_LISTS
        else _rows(storage, name, account, after, rows)
        for name in lists
    }


def _entities(
    storage: Storage, kind: str, account: str | None, after: int, limit: int
) -> list[msgspec.Raw]:
    found = storage.rows(
        "select data from entities where kind = ? and account = coalesce(?, account)"
        " and sequence > ? order by sequence limit ?",
        (kind, account, after, limit),
    )
    return [msgspec.Raw(data.encode()) for (data,) in found]


def _rows(
    storage: Storage, name: str, account: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    table, key, row_type = _ROW_LISTS[name]
    columns = [column.name for column in fields(row_type)]
    # Deliveries belong to no account: one event may go to everybody's endpoint.
    ours = "and account = coalesce(?, account)" if "account" in columns and account else ""
    values = (after, account, limit) if ours else (after, limit)
    found = storage.rows(
        f"select {', '.join(columns)} from {table} where {key} > ? {ours}"  # noqa: S608 (constants)
        f" order by {key} limit ?",
        values,
    )
    return [dict(zip(columns, row, strict=True)) for row in found]
