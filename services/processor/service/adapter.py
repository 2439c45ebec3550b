"""The port that every adapter implements."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from services.processor.domain.attempt import Attempt
from services.processor.domain.event import EventPage, EventWindow, ProcessorEvent
from services.processor.domain.profile import Profile
from services.processor.domain.verdict import Verdict


class Adapter(Protocol):
    """One account at one processor.

    Each method either reads an answer into a verdict or raises: NotSent when nothing left the
    house, CannotAsk when nothing ever could, NoAnswer when an answer is lost, Misfit when it makes
    no sense. None of them retries, and
    none bounds its own time: that is done around it. The same key does a thing once.
    """

    @property
    def secret_names(self) -> Collection[str]:
        """The fields of an answer that nobody may keep."""
        ...

    async def authorize(self, attempt: Attempt, key: str) -> Verdict:
        """Hold the amount."""
        ...

    async def capture(self, attempt: Attempt, key: str) -> Verdict:
        """Take the amount of what is held, and release the rest."""
        ...

    async def void(self, attempt: Attempt, key: str) -> Verdict:
        """Release what is held, or give up what waits for its customer."""
        ...

    async def refund(self, attempt: Attempt, key: str) -> Verdict:
        """Return the amount of what was taken."""
        ...

    async def lookup(self, attempt: Attempt, key: str | None) -> Verdict:
        """Find out what became of the attempt, moving no money.

        Without a key the processor may have forgotten it: only reading is safe. What is not found
        is UNKNOWN.
        """
        ...

    def read_event(self, body: bytes) -> ProcessorEvent:
        """What a delivered event says; raises Misfit if it is none."""
        ...

    async def list_events(self, window: EventWindow, after: str | None, limit: int) -> EventPage:
        """The processor's own events, oldest first."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor that can be used: what it is, and the adapter that speaks to it."""

    profile: Profile
    adapter: Adapter
