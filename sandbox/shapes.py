"""From entities to the JSON objects Stripe answers with, and the expansion of ids inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, cast

from sandbox.domain.balance import BalanceTransaction
from sandbox.domain.charges import Charge
from sandbox.domain.payment_intents import PaymentIntent
from sandbox.domain.payment_methods import Customer, PaymentMethod
from sandbox.domain.refunds import Refund
from sandbox.domain.work import Entity
from sandbox.errors import InvalidRequest

E = TypeVar("E", bound=Entity)
Json = dict[str, Any]

_MAX_EXPANSION_DEPTH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a shape depends on beside its entity: the time, and where the sandbox is reached."""

    now: int
    public_url: str
    api_version: str
    # How many endpoints an event has yet to reach.
    pending_webhooks: Callable[[str], int]


Shape = Callable[[Any, View], Json]
_SHAPES: Final[dict[str, tuple[type[Entity], Shape]]] = {}

# Which ids inside which objects can be expanded, and what they are ids of.
_EXPANDABLE: Final[dict[str, dict[str, type[Entity]]]] = {
    "payment_intent": {
        "latest_charge": Charge,
        "payment_method": PaymentMethod,
        "customer": Customer,
    },
    "payment_method": {"customer": Customer},
    "charge": {
        "balance_transaction": BalanceTransaction,
        "customer": Customer,
        "payment_intent": PaymentIntent,
        "refunds": Refund,
    },
    "refund": {
        "balance_transaction": BalanceTransaction,
        "charge": Charge,
        "failure_balance_transaction": BalanceTransaction,
        "payment_intent": PaymentIntent,
    },
    "dispute": {"charge": Charge, "payment_intent": PaymentIntent},
    "balance_transaction": {"source": Charge},
}


def shapes(kind: type[E]) -> Callable[[Callable[[E, View], Json]], Callable[[E, View], Json]]:
    """Declare how entities of a kind are shown."""

    def declare(shape: Callable[[E, View], Json]) -> Callable[[E, View], Json]:
        _SHAPES[kind.kind] = (kind, shape)
        return shape

    return declare


def shape(entity: Entity, view: View) -> Json:
    """The JSON object of an entity."""
    return _SHAPES[entity.kind][1](entity, view)


def kind_named(kind: str) -> type[Entity]:
    """The class of entities of a kind."""
    return _SHAPES[kind][0]


class Find(Protocol):
    """Looks up an entity in the caller's account."""

    def __call__(self, kind: type[E], entity_id: str) -> E | None: ...


class Expander:
    """Puts whole objects where a request asked for more than their ids."""

    def __init__(self, find: Find, view: View) -> None:
        self._find = find
        self._view = view

    def expand(self, body: Json, paths: Iterable[str]) -> Json:
        """The body with every path expanded, or the refusal of a path that cannot be."""
        for path in paths:
            steps = path.split(".")
            if len(steps) > _MAX_EXPANSION_DEPTH + 1:
                raise InvalidRequest(
                    f"You cannot expand more than {_MAX_EXPANSION_DEPTH} levels.", param="expand"
                )
            self._expand(body, steps, path)
        return body

    def _expand(self, node: Json, steps: list[str], path: str) -> None:
        if not steps:
            return
        if node.get("object") == "list" and steps[0] == "data":
            for item in node["data"]:
                self._expand(item, steps[1:], path)
            return
        name, rest = steps[0], steps[1:]
        kind = _EXPANDABLE.get(str(node.get("object")), {}).get(name)
        if kind is None:
            raise InvalidRequest(f"This property cannot be expanded ({path}).", param="expand")
        value = node.get(name)
        if name == "refunds":
            value = node["refunds"] = self._refunds(node)
        elif isinstance(value, str) and (found := self._find(kind, value)) is not None:
            value = node[name] = shape(found, self._view)
        if isinstance(value, dict):
            self._expand(value, rest, path)

    def _refunds(self, charge: Json) -> Json:
        held = cast("Charge", self._find(Charge, charge["id"]))
        refunds = [self._find(Refund, refund) for refund in held.refunds[:10]]
        return {
            "object": "list",
            "data": [shape(refund, self._view) for refund in refunds if refund is not None],
            "has_more": len(held.refunds) > 10,
            "url": f"/v1/charges/{charge['id']}/refunds",
        }
