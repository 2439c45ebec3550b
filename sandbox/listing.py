"""Lists as Stripe pages them: newest first, by cursor, filtered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.domain.work import Entity
from sandbox.errors import InvalidRequest
from sandbox.routing import Call, Listing
from sandbox.rows import ListQuery

Condition = tuple[str, tuple[Any, ...]]
Filter = Callable[[Any], Condition]


def column(name: str) -> Filter:
    """A filter by one of the store's columns; the name is this package's, never a request's."""
    return lambda value: (f"{name} = ?", (value,))


def attribute(name: str) -> Filter:
    """A filter by an attribute inside the entity."""
    return lambda value: (f"json_extract(data, '$.{name}') = ?", (value,))


def list_page(
    call: Call,
    kind: type[Entity],
    *,
    filters: dict[str, Filter] | None = None,
    always: tuple[Condition, ...] = (),
) -> Listing:
    """The page a request asks for."""
    params = call.params
    if "starting_after" in params and "ending_before" in params:
        raise InvalidRequest(
            "starting_after and ending_before cannot be used together.", param="starting_after"
        )
    conditions = list(always)
    conditions += [(f"created {sign} ?", (bound,)) for sign, bound in params.get("created", ())]
    for name, make in (filters or {}).items():
        if params.get(name) is not None:
            conditions.append(make(params[name]))
    query = ListQuery(
        conditions=tuple(conditions),
        limit=params.get("limit", 10),
        after=_edge(call, kind, "starting_after"),
        before=_edge(call, kind, "ending_before"),
    )
    return Listing(page=call.pager(kind, call.work.account, query), url=call.path)


def _edge(call: Call, kind: type[Entity], param: str) -> Entity | None:
    if param not in call.params:
        return None
    return call.work.get(kind, call.params[param], param=param)
