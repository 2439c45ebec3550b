"""How an attempt is repeated: what configurations set, plans carry and the router follows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MAX_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is sent, and how long to wait in between; what is unset is the default.

    The defaults leave the whole of a wait to chance, so that those who failed together do not
    return together.
    """

    max_tries: int = MAX_TRIES
    initial_backoff: timedelta = timedelta(milliseconds=200)
    max_backoff: timedelta = timedelta(seconds=2)
    backoff_growth_percent: int = 100
    jitter_percent: int = 100

    def backoff(self, tries: int, chance: float) -> timedelta:
        """The wait after so many tries; `chance`, from 0 to 1, decides what is left to it."""
        growth = (1 + self.backoff_growth_percent / 100) ** (tries - 1)
        # Compared as numbers: a timedelta overflows where the power has grown large.
        seconds = min(
            self.initial_backoff.total_seconds() * growth, self.max_backoff.total_seconds()
        )
        return timedelta(seconds=seconds * (1 - self.jitter_percent / 100 * (1 - chance)))
