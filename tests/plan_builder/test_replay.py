"""ReplayPlans over a running system: what it reads, what it tells, and that it changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.error_reason_pb2 import ERROR_REASON_POLICY_VIOLATED
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD, PaymentInstrument
from payments.orchestrator.v1.orchestrator_service_pb2 import CreatePaymentRequest
from payments.orchestrator.v1.orchestrator_service_pb2 import ExecutePlanRequest as Execute
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest, ReplayPlansRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub
from payments.plan.v1.plan_replay_pb2 import PlanDifference, PlanReplaySummary

from services.kernel.errors import NotFound, Reason
from services.kernel.ids import MerchantId, RequestId
from services.runtime.rpc import typed_errors
from services.runtime.settings import load_settings
from services.system import System, open_system

_PROCESSORS = """
[[processors]]
id = "home"
adapter = "simulated"

[[processors]]
id = "backup"
adapter = "simulated"
"""
_CARD = PaymentInstrument(method=PAYMENT_METHOD_CARD, token="pm_card_visa")  # noqa: S106 -- a test card's name
_SETTINGS = {
    "default_currency": "USD",
    "fees": {"basis_points": 100},
    "capture_method": "CAPTURE_METHOD_AUTOMATIC",
    "split_policy": "SPLIT_POLICY_ALL_OR_NOTHING",
    "processors": [{"processor_id": "home"}, {"processor_id": "backup"}],
}
_LARGE_TO_BACKUP = {
    "name": "large",
    "match": {"amount_band": {"from_amount": {"amount_minor": 5_000, "currency": "USD"}}},
    "targets": [{"processor_id": "backup"}],
}


def _settings(**changed: object) -> MerchantSettings:
    return ParseDict({**_SETTINGS, **changed}, MerchantSettings())


def _limit(max_minor: int) -> object:
    return [{"max_amount": {"amount_minor": max_minor, "currency": "USD"}}]


@dataclass
class _Heard:
    """All that one replay told."""

    progress: list[tuple[int, int]] = field(default_factory=list)
    differences: list[PlanDifference] = field(default_factory=list)
    summaries: list[PlanReplaySummary] = field(default_factory=list)

    @property
    def summary(self) -> PlanReplaySummary:
        (summary,) = self.summaries
        return summary


class _Shop:
    """A merchant of the running system."""

    def __init__(self, system: System) -> None:
        self.merchant_id = MerchantId.new()
        self._channel = system.channel
        self._count = 0

    async def configure(self, version: int = 0, **changed: object) -> None:
        request = PutConfigRequest(
            idempotency_key=f"v{version}",
            merchant_id=self.merchant_id,
            expected_version=version,
            settings=_settings(**changed),
        )
        await MerchantConfigServiceStub(self._channel).PutConfig(request)
        async with asyncio.timeout(30):
            while await self._planned_by() <= version:  # noqa: ASYNC110 -- by a stream
                await asyncio.sleep(0.01)

    async def _planned_by(self) -> int:
        """The version by which a small payment is planned."""
        request = BuildPlanRequest(context=self.wish(100))
        plan = (await PlanBuilderServiceStub(self._channel).BuildPlan(request)).plan
        return plan.config_version

    def wish(self, amount_minor: int) -> CoreRequestContext:
        self._count += 1
        return CoreRequestContext(
            request_id=RequestId.new(),
            merchant_id=self.merchant_id,
            idempotency_key=f"order-{self._count}",
            amount=Money(amount_minor=amount_minor, currency="USD"),
            instrument=_CARD,
        )

    async def pay(self, amount_minor: int) -> str:
        wish = self.wish(amount_minor)
        plan = (
            await PlanBuilderServiceStub(self._channel).BuildPlan(BuildPlanRequest(context=wish))
        ).plan
        order = Execute(idempotency_key=wish.idempotency_key, context=wish, plan=plan)
        return (await OrchestratorServiceStub(self._channel).ExecutePlan(order)).payment.id

    async def intend(self, amount_minor: int) -> str:
        wish = self.wish(amount_minor)
        order = CreatePaymentRequest(idempotency_key=wish.idempotency_key, context=wish)
        return (await OrchestratorServiceStub(self._channel).CreatePayment(order)).payment.id

    async def replay(self, proposal: MerchantSettings | None = None, **wanted: object) -> _Heard:
        request = ReplayPlansRequest(merchant_id=self.merchant_id, proposal=proposal, **wanted)  # type: ignore[arg-type]  # as the test says
        heard = _Heard()
        with typed_errors():
            async for told in PlanBuilderServiceStub(self._channel).ReplayPlans(request):
                assert not heard.summaries, "the summary is the last"
                if told.HasField("progress"):
                    made = told.progress
                    heard.progress.append((made.requests_replayed, made.requests_total))
                elif told.HasField("difference"):
                    heard.differences.append(told.difference)
                else:
                    heard.summaries.append(told.summary)
        return heard


@pytest.fixture
async def system(application_url: str, tmp_path: Path) -> AsyncIterator[System]:
    processors = tmp_path / "processors.toml"
    processors.write_text(_PROCESSORS)
    settings = load_settings(
        switchyard_home=tmp_path, database_url=application_url, processors_file=processors
    )
    async with open_system(settings) as system:
        yield system


@pytest.fixture
async def shop(system: System) -> _Shop:
    shop = _Shop(system)
    await shop.configure()
    return shop


async def test_each_difference_is_told_and_all_of_them_are_summed(shop: _Shop) -> None:
    small, large, huge = [await shop.pay(minor) for minor in (1_000, 6_000, 9_000)]
    heard = await shop.replay(
        _settings(routing_rules=[_LARGE_TO_BACKUP], amount_limits=_limit(8_000))
    )
    assert [each.payment_id for each in heard.differences] == [huge, large], "newest first"
    refused, moved = heard.differences
    assert refused.refused.reason == ERROR_REASON_POLICY_VIOLATED
    assert [v.rule for v in refused.refused.violations] == list(refused.rules)
    assert moved.recorded.steps[0].candidates[0].processor_id == "home"
    assert moved.recorded.config_version == 1
    assert [c.processor_id for c in moved.replayed.steps[0].candidates] == ["backup"]
    assert list(moved.rules) == ["rule:large"]
    summary = heard.summary
    assert (summary.requests_replayed, summary.requests_changed) == (3, 2)
    assert (summary.requests_refused, summary.requests_rerouted) == (1, 1)
    (shift,) = summary.route_shifts
    assert (shift.from_processor_id, shift.to_processor_id, shift.step_count) == (
        "home",
        "backup",
        1,
    )
    assert list(shift.amounts) == [Money(amount_minor=6_000, currency="USD")]
    assert list(summary.amounts_refused) == [Money(amount_minor=9_000, currency="USD")]
    assert list(summary.fee_changes) == [Money(amount_minor=-90, currency="USD")]
    effects = {effect.rule: effect for effect in summary.rule_effects}
    assert list(effects["rule:large"].amounts_moved) == list(shift.amounts)
    assert list(effects["limits.max_amount"].amounts_refused) == list(summary.amounts_refused)
    assert small not in str(heard.differences)


async def test_an_intent_that_is_refused_now_becomes_plannable(shop: _Shop) -> None:
    refused, fine = await shop.intend(9_000), await shop.intend(1_000)
    await shop.configure(version=1, amount_limits=_limit(8_000))
    assert (await shop.replay(_settings(amount_limits=_limit(8_500)))).differences == []
    heard = await shop.replay(_settings())
    (difference,) = heard.differences
    assert difference.payment_id == refused != fine
    assert not difference.HasField("recorded")
    assert difference.refused_now.reason == ERROR_REASON_POLICY_VIOLATED
    assert difference.replayed.total.amount_minor == 9_000
    assert heard.summary.requests_plannable == 1
    assert list(heard.summary.amounts_plannable) == [Money(amount_minor=9_000, currency="USD")]
    (effect,) = heard.summary.rule_effects
    assert (effect.rule, effect.request_count) == ("limits.max_amount", 1)
    assert list(effect.fee_changes) == [Money(amount_minor=90, currency="USD")]


async def test_a_stored_version_is_replayed_like_a_proposal(shop: _Shop) -> None:
    await shop.pay(6_000)
    await shop.configure(version=1, routing_rules=[_LARGE_TO_BACKUP])
    assert (await shop.replay(config_version=1)).summary.requests_changed == 0
    for by_version in (await shop.replay(config_version=2), await shop.replay()):
        assert [list(each.rules) for each in by_version.differences] == [["rule:large"]]


async def test_many_requests_are_read_in_pages_and_counted_as_they_go(shop: _Shop) -> None:
    ids = [await shop.intend(6_000) for _ in range(45)]
    proposal = _settings(routing_rules=[_LARGE_TO_BACKUP])
    every = await shop.replay(proposal)
    assert [each.payment_id for each in every.differences] == ids[::-1]
    assert every.progress[0] == (0, 1_000)
    assert every.progress[-1] == (45, 45)
    assert len(every.progress) > 2, "a page is not all of them"
    assert [replayed for replayed, _ in every.progress] == sorted({p for p, _ in every.progress})
    some = await shop.replay(proposal, last_count=33)
    assert [each.payment_id for each in some.differences] == ids[:-34:-1]
    assert some.progress[-1] == (33, 33)


async def test_a_window_of_time_holds_what_was_received_in_it(shop: _Shop) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    await shop.intend(6_000)
    after = datetime.now(UTC) + timedelta(seconds=1)

    async def replayed(**window: datetime) -> int:
        return (await shop.replay(_settings(), **window)).summary.requests_replayed

    assert await replayed(received_from=before, received_before=after) == 1
    assert await replayed(received_from=after) == 0
    assert await replayed(received_before=before) == 0


async def test_a_merchant_sees_its_own_requests_alone(system: System, shop: _Shop) -> None:
    await shop.pay(6_000)
    stranger = _Shop(system)
    await stranger.configure()
    heard = await stranger.replay(_settings(routing_rules=[_LARGE_TO_BACKUP]))
    assert heard.progress == [(0, 1_000), (0, 0)]
    assert heard.summary == PlanReplaySummary()
    nobody = _Shop(system)
    with pytest.raises(NotFound) as refusal:
        await nobody.replay(_settings())
    assert refusal.value.reason is Reason.CONFIG_VERSION_NOT_FOUND


async def test_a_replay_leaves_every_table_as_it_was(system: System, shop: _Shop) -> None:
    """Intents alone, so that nothing else is at work once their events are told."""
    for minor in (1_000, 6_000, 9_000):
        await shop.intend(minor)
    before = await _row_counts_at_rest(system)
    assert before["payments.payments"] == 3
    proposal = _settings(routing_rules=[_LARGE_TO_BACKUP], amount_limits=_limit(8_000))
    assert (await shop.replay(proposal)).summary.requests_changed == 2
    assert await _row_counts(system) == before


async def _row_counts_at_rest(system: System) -> dict[str, int]:
    async with asyncio.timeout(60):
        before = await _row_counts(system)
        while True:
            await asyncio.sleep(0.5)
            now = await _row_counts(system)
            if now == before:
                return now
            before = now


async def _row_counts(system: System) -> dict[str, int]:
    async with system.database.connection() as connection:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
            " and has_table_privilege(format('%I.%I', schemaname, tablename), 'select')"
        )
        return {
            table["name"]: await connection.fetchval(f"select count(*) from {table['name']}")
            for table in tables
        }
