"""How long requests take to go through another configuration, and what payments feel of it.

Payments are made in process at two simulated processors, then replayed through a configuration that
sends every second of them elsewhere. A quiet caller pays on while the replay runs.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson
import uvloop
from grpc.aio import Channel
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.config.v1.routing_rule_pb2 import AmountBand, RouteMatch, RouteTarget, RoutingRule
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD, PaymentInstrument
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)
from payments.orchestrator.v1.orchestrator_service_pb2 import ExecutePlanRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest, ReplayPlansRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from services.kernel.ids import MerchantId, RequestId
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_logging
from services.system import open_system

_PROCESSORS: Final = '[[processors]]\nid = "{}"\nadapter = "simulated"\n'
_CALLERS: Final = 32
_PAUSE_SECONDS: Final = 0.05
_CARD: Final = PaymentInstrument(method=PAYMENT_METHOD_CARD, token="pm_card_visa")  # noqa: S106 -- a test card's name
_LARGE: Final = RoutingRule(
    name="large-elsewhere",
    match=RouteMatch(amount_band=AmountBand(from_amount=Money(amount_minor=5_000, currency="USD"))),
    targets=[RouteTarget(processor_id="backup"), RouteTarget(processor_id="simulated")],
)


@dataclass(frozen=True)
class Found:
    """What a run came to."""

    requests: int
    changed: int
    seconds: float
    requests_per_second: float
    payment_p50_ms: float
    payment_beside_p50_ms: float
    payment_beside_max_ms: float


class _Shop:
    def __init__(self, channel: Channel) -> None:
        self.merchant_id = MerchantId.new()
        self._channel = channel
        self._numbers = count()

    async def open(self) -> None:
        request = PutConfigRequest(
            idempotency_key="opening day", merchant_id=self.merchant_id, settings=_settings()
        )
        await MerchantConfigServiceStub(self._channel).PutConfig(request)

    async def pay(self) -> float:
        """One payment, and how long it took."""
        began = time.perf_counter()
        number = next(self._numbers)
        wish = CoreRequestContext(
            request_id=RequestId.new(),
            merchant_id=self.merchant_id,
            idempotency_key=f"order-{number}",
            amount=Money(amount_minor=1_000 if number % 2 else 10_000, currency="USD"),
            instrument=_CARD,
        )
        wish.received_at.GetCurrentTime()
        built = await PlanBuilderServiceStub(self._channel).BuildPlan(
            BuildPlanRequest(context=wish)
        )
        await OrchestratorServiceStub(self._channel).ExecutePlan(
            ExecutePlanRequest(idempotency_key=wish.idempotency_key, context=wish, plan=built.plan)
        )
        return time.perf_counter() - began

    async def pay_many(self, payments: int) -> None:
        left = iter(range(payments))

        async def caller() -> None:
            for _ in left:
                await self.pay()

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))

    async def replay(self, requests: int) -> int:
        """Replay through the other configuration; how many requests it would change."""
        order = ReplayPlansRequest(
            merchant_id=self.merchant_id, proposal=_settings(_LARGE), last_count=requests
        )
        changed = -1
        async for told in PlanBuilderServiceStub(self._channel).ReplayPlans(order, timeout=600):
            if told.HasField("summary"):
                assert told.summary.requests_replayed == requests, told.summary
                changed = told.summary.requests_changed
        return changed


def _settings(*rules: RoutingRule) -> config_pb.MerchantSettings:
    return config_pb.MerchantSettings(
        default_currency="USD",
        fees=config_pb.FeeSchedule(basis_points=290),
        capture_method=CAPTURE_METHOD_AUTOMATIC,
        split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
        processors=[
            config_pb.ProcessorPreference(processor_id=name) for name in ("simulated", "backup")
        ],
        routing_rules=rules,
    )


async def _quietly(shop: _Shop, while_running: "asyncio.Task[int] | None") -> list[float]:
    """Payments with pauses between, one after another: a hundred, or until the task has ended."""
    took_seconds: list[float] = []
    while not while_running.done() if while_running else len(took_seconds) < 100:
        took_seconds.append(await shop.pay())
        await asyncio.sleep(_PAUSE_SECONDS)
    return took_seconds


async def measure(folder: Path, requests: int) -> Found:
    processors = folder / "processors.toml"
    processors.write_text("".join(map(_PROCESSORS.format, ("simulated", "backup"))))
    settings = load_settings(switchyard_home=folder / "home", processors_file=processors)
    async with open_system(settings) as system:
        shop = _Shop(system.channel)
        await shop.open()
        await shop.pay_many(requests)
        alone = await _quietly(shop, None)
        began = time.perf_counter()
        changed = await shop.replay(requests)
        seconds = time.perf_counter() - began
        beside = await _quietly(shop, asyncio.create_task(shop.replay(requests)))
    return Found(
        requests=requests,
        changed=changed,
        seconds=round(seconds, 2),
        requests_per_second=round(requests / seconds),
        payment_p50_ms=round(statistics.median(alone) * 1000, 2),
        payment_beside_p50_ms=round(statistics.median(beside) * 1000, 2),
        payment_beside_max_ms=round(max(beside) * 1000, 2),
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench replay", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args(arguments)
    configure_logging("bench", level="warning")
    with TemporaryDirectory(prefix="sy-") as folder:
        found = uvloop.run(measure(Path(folder), options.requests))
    sys.stdout.write(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0
