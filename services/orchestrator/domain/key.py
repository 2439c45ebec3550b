"""An idempotency key as the one who asks about it would fare with it."""

from dataclasses import dataclass
from enum import StrEnum, unique

from services.orchestrator.domain.command import KeyRecord


@unique
class KeyState(StrEnum):
    """What became of the call that used a key."""

    UNSEEN = "unseen"
    IN_FLIGHT = "in_flight"
    DONE = "done"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """What is known about a key."""

    state: KeyState
    record: KeyRecord | None

    @classmethod
    def of(cls, record: KeyRecord | None, fingerprint: bytes | None) -> "KeyStanding":
        """How a request with this fingerprint fares; without one, the key alone is asked about."""
        if record is None:
            return cls(KeyState.UNSEEN, None)
        if fingerprint not in (None, record.fingerprint):
            return cls(KeyState.CONFLICT, record)
        return cls(KeyState.IN_FLIGHT if record.answer is None else KeyState.DONE, record)

    @property
    def is_retry_safe(self) -> bool:
        """Whether the same request, sent again under the key, does no harm and is answered.

        One that was never seen is begun, one at work goes on, one that is done is answered as it
        was before; another request than the key stands for is refused each time.
        """
        return self.state is not KeyState.CONFLICT
