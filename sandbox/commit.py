"""Turning a unit of work into something durable, and its events into webhooks on their way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from sandbox.clock import Clock
from sandbox.domain.webhook_endpoints import WebhookEndpoint
from sandbox.domain.work import Event, Origin, Work
from sandbox.rows import Attempt, Delivery, StoredAnswer
from sandbox.seed import Seed
from sandbox.storage import Storage

# The account of endpoints that hear of everybody's events: those given on the command line.
EVERY_ACCOUNT: Final = ""


@dataclass
class Committer:
    """Opens units of work and commits them, all of one or nothing."""

    storage: Storage
    clock: Clock
    seed: Seed
    # Called with what every commit is to deliver.
    announce: Callable[[Sequence[Delivery]], None]

    def __post_init__(self) -> None:
        rows = self.storage.rows(
            "select data from entities where kind = ?", (WebhookEndpoint.kind,)
        )
        decode = msgspec.json.Decoder(WebhookEndpoint).decode
        self._endpoints = {found.id: found for found in (decode(data) for (data,) in rows)}

    @property
    def endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """Every account's endpoints that have not been deleted."""
        return tuple(found for found in self._endpoints.values() if not found.deleted)

    def open_work(self, account: str, origin: Origin | None = None) -> Work:
        """A fresh unit of work for an account."""
        return Work(
            books=self.storage,
            seed=self.seed,
            account=account,
            now=self.clock.now(),
            origin=origin or Origin(),
        )

    def commit(
        self, work: Work, *, attempt: Attempt | None = None, answer: StoredAnswer | None = None
    ) -> None:
        """Make a unit of work visible now, and durable with the storage's next commit."""
        for entity in work.changed.values():
            if isinstance(entity, WebhookEndpoint):
                self._endpoints[entity.id] = entity
        deliveries = [found for event in work.events for found in self.deliveries(event)]
        self.storage.add(
            entities=tuple(work.changed.values()),
            attempt=attempt,
            answer=answer,
            deliveries=deliveries,
        )
        self.announce(deliveries)

    def deliveries(self, event: Event) -> list[Delivery]:
        """The event on its way to every endpoint that wants it."""
        return [
            Delivery(id=self.storage.next_sequence(), event=event.id, endpoint=endpoint.id)
            for endpoint in self._endpoints.values()
            if endpoint.account in (event.account, EVERY_ACCOUNT) and endpoint.wants(event.type)
        ]
