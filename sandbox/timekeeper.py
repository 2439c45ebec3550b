"""What happens because time has passed: holds expire, refunds settle, disputes are decided."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sandbox.commit import Committer
from sandbox.domain import disputes, payment_intents, refunds
from sandbox.domain.disputes import Dispute
from sandbox.domain.payment_intents import PaymentIntent
from sandbox.domain.refunds import Refund
from sandbox.domain.work import Entity, Work
from sandbox.idempotency import KEY_LIVES_SECONDS
from sandbox.shapes import kind_named

LOOKS_EVERY_SECONDS: Final = 0.2
_FORGETS_EVERY: Final = 300

_log = logging.getLogger(__name__)


class Timekeeper:
    """Looks again and again at what the clock has made due."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._loop = asyncio.create_task(self._look_forever())

    async def close(self) -> None:
        """Stop looking."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)

    async def _look_forever(self) -> None:
        looks = 0
        while True:
            try:
                await self.look()
                if looks % _FORGETS_EVERY == 0:
                    await self._forget_keys()
            except Exception:  # noqa: BLE001 (the boundary of a background loop: it must go on)
                _log.exception("what was due could not be done")
            looks += 1
            await asyncio.sleep(LOOKS_EVERY_SECONDS)

    async def look(self) -> None:
        """Do everything that is due by now; it is durable when this returns."""
        storage = self._committer.storage
        await storage.durable()
        now = self._committer.clock.now()
        due = storage.rows(
            "select id, kind, account from entities where due_at <= ? order by due_at, sequence",
            (now,),
        )
        for entity_id, kind, account in due:
            self._do(entity_id, kind_named(kind), account, now)
        await storage.durable()

    def _do(self, entity_id: str, kind: type[Entity], account: str, now: int) -> None:
        work = self._committer.open_work(account)
        entity = work.find(kind, entity_id)
        # Someone may have been quicker between the query and now.
        if entity is None or entity.due_at is None or entity.due_at > now:
            return
        work.now = entity.due_at
        _happen(work, entity)
        self._committer.commit(work)

    async def _forget_keys(self) -> None:
        expired = self._committer.clock.now() - KEY_LIVES_SECONDS
        await self._committer.storage.forget_answers_before(expired)


def _happen(work: Work, entity: Entity) -> None:
    match entity:
        case PaymentIntent():
            payment_intents.expire_hold(work, entity)
        case Refund():
            refunds.settle(work, entity)
        case Dispute():
            disputes.decide(work, entity)
        case _:
            raise AssertionError(f"nothing is ever due of a {entity.kind}")
