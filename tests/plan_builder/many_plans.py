"""Builds many plans from a seed and prints a digest of all their bytes: a process of its own."""

import hashlib
import random
import sys
from collections.abc import Iterator

from services.kernel.context import CardNetwork, CoreRequestContext, PaymentMethod
from services.kernel.errors import FailedPrecondition
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.config import Catalogue, PlanningConfig
from services.plan_builder.translate.plan import plan_message
from tests.plan_builder.orders import ability, catalogue, config, money, part, request, rule

_CURRENCIES = ("USD", "EUR", "JPY", "BHD")


def cases(seed: int, count: int) -> Iterator[tuple[CoreRequestContext, PlanningConfig, Catalogue]]:
    """Requests, configurations and processors, drawn alike in every process."""
    chance = random.Random(seed)
    for number in range(count):
        yield _request(chance, number), _config(chance), _catalogue(chance)


def _request(chance: random.Random, number: int) -> CoreRequestContext:
    currency = chance.choice(_CURRENCIES)
    steps = []
    if currency == "USD":
        for _ in range(chance.randrange(4)):
            most = chance.choice([None, chance.randrange(1, 9_000)])
            steps.append(part(chance.choice(list(PaymentMethod)), most))
    return request(
        money(chance.randrange(1, 20_000), currency),
        *steps,
        method=chance.choice(list(PaymentMethod)),
        network=chance.choice([None, *CardNetwork]),
        idempotency_key=f"order-{number}",
        country=chance.choice([None, "DE", "US"]),
        metadata=dict.fromkeys(chance.sample(["segment", "tier", "shop"], 2), "vip"),
    )


def _config(chance: random.Random) -> PlanningConfig:
    rules = [
        rule(
            f"rule-{number}",
            *(chance.choice(["a", "b"]), "c"),
            excluded=chance.sample(["a", "b", "c"], 1),
            methods=chance.sample(list(PaymentMethod), chance.randrange(3)),
            card_networks=chance.sample(list(CardNetwork), chance.randrange(4)),
            currencies=chance.sample(_CURRENCIES, chance.randrange(4)),
            metadata={"segment": "vip"} if chance.random() < 0.5 else {},
        )
        for number in range(chance.randrange(4))
    ]
    weight = chance.randrange(101)
    return config(("a", weight), ("b", 100 - weight), "c", rules=rules)


def _catalogue(chance: random.Random) -> Catalogue:
    return catalogue(
        ability("a", currencies=frozenset(chance.sample(_CURRENCIES, 3))),
        ability("b", countries=frozenset({"DE", "AT"})),
    )


def main() -> None:
    digest = hashlib.sha256()
    planned = 0
    for context, settings, processors in cases(int(sys.argv[1]), int(sys.argv[2])):
        try:
            plan = plan_message(build_plan(context, settings, processors))
            digest.update(plan.SerializeToString())
            planned += 1
        except FailedPrecondition as refusal:
            digest.update(str(refusal).encode())
    print(planned, digest.hexdigest())


if __name__ == "__main__":
    main()
