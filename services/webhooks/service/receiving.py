"""Receiving: verify, store, answer. What the event means is found out afterwards."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import structlog

from services.kernel.clock import Clock
from services.kernel.crash_points import CrashPoint, Reach
from services.kernel.errors import InvalidArgument, NotFound, Reason, Unauthenticated
from services.kernel.ids import WebhookEventId
from services.webhooks.domain.delivery import Delivery, Received, read_delivery
from services.webhooks.domain.event import NewEvent, Stored
from services.webhooks.domain.signature import Account, Flaw, verify
from services.webhooks.service.traffic import Traffic

ADAPTERS: Final = frozenset({"stripe"})

_log = structlog.get_logger()


class Keyring(Protocol):
    """The accounts that may sign, as they are now."""

    def accounts(self, adapter: str) -> Sequence[Account]: ...


class Inbox(Protocol):
    """Where events are kept."""

    async def add(self, event: NewEvent) -> Stored:
        """Store an event with the command to apply it, unless it is stored already."""
        ...


class Notes(Protocol):
    """Who counts what is received."""

    def received(self, outcome: str) -> None: ...


class Receiving:
    """Takes deliveries in."""

    def __init__(
        self,
        keyring: Keyring,
        inbox: Inbox,
        clock: Clock,
        notes: Notes,
        *,
        traffic: Traffic,
        reach: Reach,
    ) -> None:
        self._keyring = keyring
        self._inbox = inbox
        self._clock = clock
        self._notes = notes
        self._traffic = traffic
        self._reach = reach

    async def receive(self, received: Received) -> Stored:
        """Store a delivery that is genuine, once; whoever sends it again is told the same."""
        with self._traffic.receiving():
            return await self._take(received)

    async def _take(self, received: Received) -> Stored:
        account = self._verified(received)
        delivery = self._read(received, account)
        now = self._clock.now()
        stored = await self._inbox.add(new_event(delivery, account.name, now, verified=True))
        self._reach(CrashPoint.WEBHOOK_STORED)
        self._notes.received("duplicate" if stored.duplicate else "stored")
        _log.debug(
            "webhook received",
            webhook_event_id=stored.id,
            processor_id=account.name,
            processor_event_id=delivery.event_id,
            event_type=delivery.event_type,
            duplicate=stored.duplicate,
        )
        return stored

    def _verified(self, received: Received) -> Account:
        if received.adapter not in ADAPTERS:
            raise NotFound(
                f"no adapter {received.adapter[:64]!r} receives webhooks",
                reason=Reason.PROCESSOR_NOT_FOUND,
            )
        at = received.received_at or self._clock.now()
        accounts = self._keyring.accounts(received.adapter)
        verdict = verify(received.signature_header, received.body, accounts, at)
        if isinstance(verdict, Flaw):
            self._notes.received("refused")
            _log.warning(
                "webhook refused",
                problem=str(verdict),
                adapter=received.adapter,
                body_bytes=len(received.body),
            )
            raise Unauthenticated("the signature does not hold", reason=Reason.SIGNATURE_INVALID)
        return verdict

    def _read(self, received: Received, account: Account) -> Delivery:
        try:
            return read_delivery(received.body)
        except InvalidArgument as refusal:
            # The account has signed it, so somebody has to know, and the sender goes on trying.
            self._notes.received("unreadable")
            _log.error(
                "webhook not understood",
                processor_id=account.name,
                problem=refusal.message,
                body_bytes=len(received.body),
            )
            raise


def new_event(delivery: Delivery, processor_id: str, now: datetime, *, verified: bool) -> NewEvent:
    """An event as it is stored first, delivered or fetched."""
    return NewEvent(
        id=WebhookEventId.new(),
        processor_id=processor_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        subject=f"{processor_id}:{delivery.object_id}",
        body=delivery.body,
        signature_verified=verified,
        occurred_at=delivery.occurred_at,
        created_at=now,
        traceparent=delivery.traceparent,
    )
