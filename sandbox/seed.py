"""Everything the sandbox leaves to chance, drawn from one number so that a run can be repeated.

Draws are hashes, not a generator's next value: they need no state that a kill -9 could lose, and
the n-th draw for a purpose is the same whatever else was drawn in between.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

_MAX_SEED: Final = 2**63 - 1
_UNIT: Final = float(2**64)


@dataclass(frozen=True, slots=True)
class Seed:
    """The number that a run's ids, secrets and faults are drawn from."""

    value: int

    @classmethod
    def fresh(cls) -> Seed:
        """A seed no earlier run had, so that its ids are new as well."""
        return cls(secrets.randbelow(_MAX_SEED))

    def _digest(self, purpose: str, number: int, size_bytes: int) -> bytes:
        text = f"{self.value}/{purpose}/{number}".encode()
        return hashlib.blake2b(text, digest_size=size_bytes).digest()

    def token(self, purpose: str, number: int) -> str:
        """24 characters, the n-th for this purpose."""
        return self._digest(purpose, number, 12).hex()

    def fraction(self, purpose: str, number: int) -> float:
        """A fraction in [0, 1), the n-th for this purpose."""
        return int.from_bytes(self._digest(purpose, number, 8)) / _UNIT
