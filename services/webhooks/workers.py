"""What goes on beside the calls: events being applied, looked at again, compared and counted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from payments.events.v1.dead_letter_pb2 import DeadLetter

from services.kernel.clock import Clock
from services.kernel.errors import InvalidArgument
from services.kernel.ids import WebhookEventId
from services.runtime.database import Connection
from services.runtime.messaging.consumer import Consumer, Unreadable
from services.runtime.messaging.envelope import open_envelope
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.periodic import Periodic
from services.webhooks.domain.event import (
    SETTLED,
    Failure,
    OpenEvent,
    Settlement,
    Standing,
)
from services.webhooks.translate.applying import failure_from_letter

_EVENTS: Final = "webhooks.events"
_FAILURES: Final = "webhooks.failures"
_COMMAND: Final = "WebhookEventReceived"

# Applying waits for the orchestrator's commit, which those who wait at the same time share.
_LANES: Final = 2
_BATCH_SIZE: Final = 32
_SWEEP: Final = timedelta(seconds=1)
_SWEEP_MAX: Final = 500
_COMPARE: Final = timedelta(seconds=1)
_SAMPLE: Final = timedelta(seconds=5)


class Applies(Protocol):
    """Who applies an event."""

    async def apply(self, event: OpenEvent, *, is_last_try: bool) -> Settlement: ...


class Events(Protocol):
    """Where events are kept."""

    async def open(self, connection: Connection, event_id: WebhookEventId) -> OpenEvent | None: ...

    async def settle(
        self,
        connection: Connection,
        event_id: WebhookEventId,
        settlement: Settlement,
        attempts: int,
    ) -> None: ...

    async def give_up(
        self, connection: Connection, event_id: WebhookEventId, failure: Failure
    ) -> None: ...

    async def command_due(self, limit: int) -> int: ...


class Application:
    """Consumes the commands to apply events.

    A command that fails is tried again and then dies like any message; its event is marked by what
    the dead letters tell, so that one that kills its process is known as well.
    """

    def __init__(self, events: Events, applies: Applies, *, tries: int) -> None:
        """`tries` is how often the consumer is given a command before it dies."""
        self._events = events
        self._applies = applies
        self._tries = tries
        self._uses: WeakKeyDictionary[Connection, asyncio.Lock] = WeakKeyDictionary()

    def consumers(self) -> Sequence[Consumer]:
        """What applies events, and what marks those that could not be."""
        return (
            Consumer(
                _EVENTS,
                (Topic.COMMANDS,),
                self._apply,
                batch_size=_BATCH_SIZE,
                lanes=_LANES,
                abreast=_BATCH_SIZE,
            ),
            Consumer(_FAILURES, (Topic.DEAD_LETTERS,), self._give_up),
        )

    async def _apply(self, connection: Connection, message: IncomingMessage) -> None:
        if message.type != _COMMAND:
            return
        event_id = _event_id(message.payload)
        use = self._uses.setdefault(connection, asyncio.Lock())
        async with use:
            event = await self._events.open(connection, event_id)
        if event is None:
            raise Unreadable(f"there is no webhook event {event_id}")
        if event.state in SETTLED:
            return
        try:
            settlement = await self._applies.apply(
                event, is_last_try=message.attempt >= self._tries
            )
        except InvalidArgument as refusal:
            # What has no meaning now has none in eight seconds.
            raise Unreadable(str(refusal)) from refusal
        async with use:
            await self._events.settle(connection, event_id, settlement, message.attempt)

    async def _give_up(self, connection: Connection, message: IncomingMessage) -> None:
        letter = DeadLetter.FromString(message.payload)
        if letter.consumer == _EVENTS and letter.type == _COMMAND:
            failure = failure_from_letter(letter)
            await self._events.give_up(connection, _event_id(letter.payload), failure)


class Compares(Protocol):
    """Who compares a processor's list with what was received."""

    async def compare(self, processor_id: str) -> bool: ...


class Accounts(Protocol):
    """The lists that are compared, by a processor that reads each."""

    def names(self) -> Sequence[str]: ...


class Backlog(Protocol):
    """Who knows how much waits."""

    async def backlog(self) -> Standing: ...


class Gauges(Protocol):
    """Where that is shown."""

    def stands(self, standing: Standing, now: datetime) -> None: ...


@asynccontextmanager
async def looking_again(events: Events) -> AsyncIterator[None]:
    """Have events applied whose time to be looked at again has come."""

    async def work() -> bool:
        return await events.command_due(_SWEEP_MAX) == _SWEEP_MAX

    async with Periodic(work, name="webhooks.sweep", interval=_SWEEP):
        yield


@asynccontextmanager
async def comparing_lists(compares: Compares, accounts: Accounts) -> AsyncIterator[None]:
    """Compare the list of every account whenever that is due."""

    async def work() -> bool:
        more = [await compares.compare(name) for name in accounts.names()]
        return any(more)

    async with Periodic(work, name="webhooks.comparison", interval=_COMPARE):
        yield


@asynccontextmanager
async def counting(backlog: Backlog, gauges: Gauges, clock: Clock) -> AsyncIterator[None]:
    """Show how much waits."""

    async def work() -> bool:
        gauges.stands(await backlog.backlog(), clock.now())
        return False

    async with Periodic(work, name="webhooks.backlog", interval=_SAMPLE):
        yield


def _event_id(payload: bytes) -> WebhookEventId:
    return WebhookEventId.parse(open_envelope(payload).webhook_event_received.webhook_event_id)
