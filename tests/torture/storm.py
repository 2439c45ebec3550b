"""The storm: rounds of kills under load, and after each round the oracle."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Final

from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.orchestrator.v1.payment_pb2 import PaymentState

from oracle import Bounds, Report, Violation, consult
from tests.torture.blows import Blow, blows
from tests.torture.fleet import Fleet, Worker, fleet
from tests.torture.news import News, Postman
from tests.torture.outside import ACCOUNTS
from tests.torture.stage import Stage, open_shop
from tests.torture.told import Told, may_have_become
from tests.torture.traffic import Caller

ROUND: Final = 100
_LANES: Final = 3
_STEADY: Final = 1
_CALLERS: Final = 24
_PATIENCE_SECONDS: Final = 4.0
_QUIET_SECONDS: Final = 150.0
_LOOK_SECONDS: Final = 0.25
_DECISION_SECONDS: Final = 1.0

# A customer who never came is waited for: that is as it should be, and nothing is done meanwhile.
_UNREST: Final = """
select (select count(*) from payments.payments
         where due_at < coalesce(action_expires_at, 'infinity'))
     + (select count(*) from payments.postings where state = 'pending')
     + (select count(*) from payments.idempotency where answer is null)
     + (select count(*) from messaging.outbox where relayed_at is null)
     + (select count(*) from messaging.inbox where state = 'waiting')
     + (select count(*) from messaging.outbox
         where topic = 'payment.events'
           and not exists (select from torture.heard where heard.event_id = outbox.id))
"""
_HEARD_TWICE: Final = """
select event_id, type, count(*) as count from torture.heard group by 1, 2 having count(*) > 1
"""
_OUT_OF_ORDER: Final = """
select key, sequence, before from (
    select key, sequence, lag(sequence) over (partition by key order by position) as before
      from torture.heard) as heard
 where sequence <= before
"""
_NOT_HEARD: Final = """
select id, type, key from messaging.outbox
 where topic = 'payment.events'
   and not exists (select from torture.heard where heard.event_id = outbox.id)
"""
_STANDING: Final = """
select 'pay_' || replace(payment.id::text, '-', '') as id, payment.state,
       coalesce(sum(step.captured), 0)::bigint as captured
  from payments.payments as payment
  left join payments.steps as step on step.payment_id = payment.id
 group by payment.id
"""
_REFUNDS: Final = "select 're_' || replace(id::text, '-', '') as id from payments.refunds"


@dataclass
class Outcome:
    """What a storm came to."""

    seed: int
    cycles: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    """Processes that died at each place."""
    missed: Counter[str] = field(default_factory=Counter)
    """Those that did not get there in time, and were killed where they were."""
    told: Told = field(default_factory=Told)
    news: Counter[str] = field(default_factory=Counter)
    """What has become of the events that processors told of."""
    report: Report = field(default_factory=Report)
    violations: list[Violation] = field(default_factory=list)
    seconds: float = 0.0
    raging_seconds: float = 0.0
    """How much of that was under load, and not in coming to rest."""

    def __str__(self) -> str:
        pace = self.cycles / self.raging_seconds if self.raging_seconds else 0.0
        lines = [
            f"seed {self.seed}: {self.cycles} cycles in {self.seconds:.0f} s,"
            f" {self.raging_seconds:.0f} s of them under load ({pace:.1f} cycles/s)",
            *(f"  died at {name}: {count}" for name, count in sorted(self.deaths.items())),
            *(f"  killed before {name}: {count}" for name, count in sorted(self.missed.items())),
            *(f"  calls, {name}: {count}" for name, count in sorted(self.told.calls.items())),
            *(f"  events of processors, {name}: {n}" for name, n in sorted(self.news.items())),
            str(self.report),
        ]
        beyond = [each for each in self.violations if each not in self.report.violations]
        return "\n".join([*lines, *(f"  {each}" for each in beyond)])


class Storm:
    """One run over a stage."""

    def __init__(self, stage: Stage, crew: Fleet, seed: int) -> None:
        self._stage = stage
        self._fleet = crew
        self._world = stage.outside
        self._news = News(stage.outside, stage.owner)
        self._chance = random.Random(seed)
        self._blows = blows(self._chance, broker=stage.bootstrap is not None)
        self.outcome = Outcome(seed)

    async def rage(self, cycles: int) -> Outcome:
        """So many kills, with the oracle after each round of them."""
        began_at = time.monotonic()
        for steady in await asyncio.gather(*(self._fleet.start(None) for _ in range(_STEADY))):
            assert steady.channel is not None
            await open_shop(steady.channel)
        self._world.door.take = Postman(self._fleet).take
        left = cycles
        while left > 0 and not self.outcome.violations:
            round_began_at = time.monotonic()
            await self._round(min(left, ROUND))
            left -= ROUND
            raged_until = time.monotonic()
            await self._consult()
            self.outcome.raging_seconds += raged_until - round_began_at
        self.outcome.seconds = time.monotonic() - began_at
        return self.outcome

    async def _round(self, cycles: int) -> None:
        over = asyncio.Event()
        names = (f"{self.outcome.cycles}-{number}" for number in range(_CALLERS))
        await self._world.strike()
        callers = [asyncio.create_task(self._caller(each).pay_until(over)) for each in names]
        due = islice(self._blows, cycles)
        banks = asyncio.create_task(self._banks(over))
        await asyncio.gather(*(self._lane(due) for _ in range(_LANES)))
        over.set()
        await self._world.relent()
        await asyncio.gather(*callers, banks)

    async def _banks(self, over: asyncio.Event) -> None:
        """Decide about disputes now and then."""
        chance = random.Random(self._chance.randrange(2**32))
        while not over.is_set():
            await asyncio.sleep(_DECISION_SECONDS)
            await self._world.decide_disputes(chance)

    def _caller(self, name: str) -> Caller:
        chance = random.Random(self._chance.randrange(2**32))

        async def authenticate(page: str) -> None:
            await self._world.authenticate(page, chance)

        return Caller(
            name,
            self._fleet,
            self.outcome.told,
            chance,
            processors=tuple(ACCOUNTS),
            authenticate=authenticate,
        )

    async def _lane(self, due: Iterator[Blow]) -> None:
        """One process after another."""
        for blow in due:
            worker = await self._fleet.start(blow)
            await self._await_death(worker, blow)
            self.outcome.cycles += 1

    async def _await_death(self, worker: Worker, blow: Blow) -> None:
        is_aimed = blow.point is not None
        seconds = _PATIENCE_SECONDS if is_aimed else blow.after_seconds
        await asyncio.wait({worker.ended}, timeout=seconds)
        if worker.ended.done():
            self.outcome.deaths[blow.name] += 1
            return
        await self._fleet.kill(worker)
        counts = self.outcome.missed if is_aimed else self.outcome.deaths
        counts[blow.name] += 1

    async def _consult(self) -> None:
        """Let all come to rest, and ask whether it is as it must be."""
        await self._rest()
        channel = await self._fleet.any()
        record = await self._world.record()
        report = await consult(
            self._stage.owner,
            record,
            ledger=LedgerServiceStub(channel),
            bounds=Bounds(work=timedelta(0), in_doubt=timedelta(0)),
        )
        self.outcome.report = report
        self.outcome.violations += report.violations
        self.outcome.violations += [each async for each in self._unheard()]
        self.outcome.violations += [each async for each in self._forgotten()]
        self.outcome.violations += [each async for each in self._news.violations()]
        self.outcome.news = await self._news.counts()
        self.outcome.violations += [
            Violation("process", "fleet", each) for each in self._fleet.failures
        ]

    async def _rest(self) -> None:
        give_up_at = time.monotonic() + _QUIET_SECONDS
        while time.monotonic() < give_up_at:
            is_told = await self._news.is_taken_in()
            # Asked second: what was told last may have left something to be done.
            if is_told and not await self._stage.owner.fetchval(_UNREST):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _unheard(self) -> AsyncIterator[Violation]:
        """Whether the witness heard each event once, and those of a payment in their order."""
        for row in await self._stage.owner.fetch(_HEARD_TWICE):
            message = f"{row['type']} had its effect {row['count']} times"
            yield Violation("effect.twice", row["event_id"], message)
        for row in await self._stage.owner.fetch(_OUT_OF_ORDER):
            message = f"event {row['sequence']} came after event {row['before']}"
            yield Violation("effect.order", row["key"], message)
        for row in await self._stage.owner.fetch(_NOT_HEARD):
            yield Violation("effect.lost", row["key"], f"nobody heard its {row['type']}")

    async def _forgotten(self) -> AsyncIterator[Violation]:
        """Whether what callers were told has come about."""
        rows = {row["id"]: row for row in await self._stage.owner.fetch(_STANDING)}
        for payment in self.outcome.told.payments.values():
            row = rows.get(payment.id)
            told = _state(payment.state)
            if row is None:
                yield Violation("told.lost", payment.id, f"was told of as {told}, and is not there")
            elif not may_have_become(told, row["state"]):
                message = f"was told of as {told}, and is {row['state']}"
                yield Violation("told.state", payment.id, message)
            elif row["captured"] < payment.amount_captured.amount_minor:
                message = f"{payment.amount_captured.amount_minor} was told of as captured"
                yield Violation("told.captured", payment.id, message)
        refunds = {row["id"] for row in await self._stage.owner.fetch(_REFUNDS)}
        for refund_id in self.outcome.told.refunds.keys() - refunds:
            yield Violation("told.refund", refund_id, "was told of, and is not there")
        for problem in self.outcome.told.problems:
            yield Violation("told.wrong", "caller", problem)


def _state(number: PaymentState.ValueType) -> str:
    return PaymentState.Name(number).removeprefix("PAYMENT_STATE_").lower()


async def rage(stage: Stage, *, seed: int, cycles: int) -> Outcome:
    """A storm of so many kills over a stage."""
    async with fleet(stage.environment, stage.log, random.Random(seed + 1)) as crew:
        return await Storm(stage, crew, seed).rage(cycles)
