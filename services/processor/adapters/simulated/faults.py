"""What goes wrong at the simulated processor, and when: by chance, and the same in every run."""

from collections.abc import Mapping
from enum import StrEnum, unique
from hashlib import blake2b
from typing import Protocol

from services.processor.domain.attempt import Operation


@unique
class Fault(StrEnum):
    """What can go wrong with a request."""

    NOT_SENT = "not_sent"
    RATE_LIMITED = "rate_limited"
    # Nothing is done, and the answer does not say so.
    SERVER_ERROR = "server_error"
    # What is asked is done before these.
    REPLY_LOST = "reply_lost"
    HANG = "hang"
    GARBAGE = "garbage"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"


class Faults(Protocol):
    """What decides when something goes wrong."""

    def draw(self, operation: Operation, key: str) -> Fault | None:
        """The fault that strikes this request, if any."""
        ...


class SeededFaults:
    """Each fault strikes its share of requests; the n-th request with a key always fares alike."""

    def __init__(self, seed: int, percent: Mapping[Fault, float], *, max_keys: int) -> None:
        self._seed = seed
        self._percent = dict(percent)
        self._max_keys = max_keys
        self._tries: dict[tuple[Operation, str], int] = {}

    def draw(self, operation: Operation, key: str) -> Fault | None:
        """The fault that chance has for this request."""
        if not self._percent:
            return None
        number = self._tries.pop((operation, key), 0) + 1
        self._tries[operation, key] = number
        if len(self._tries) > self._max_keys:
            del self._tries[next(iter(self._tries))]
        drawn_percent = chance(self._seed, f"{operation}/{key}/{number}") * 100
        for fault, percent in self._percent.items():
            if drawn_percent < percent:
                return fault
            drawn_percent -= percent
        return None


def chance(seed: int, name: str) -> float:
    """A number from 0 to 1 that the seed and the name decide."""
    digest = blake2b(name.encode(), digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big") / 2**64
