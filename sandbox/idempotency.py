"""Idempotency keys as Stripe treats them: the first answer is kept and replayed for 24 hours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sandbox.errors import InvalidRequest, KeyInUse, KeyReused
from sandbox.forms import Form, canonical
from sandbox.rows import StoredAnswer
from sandbox.storage import Storage

KEY_LIVES_SECONDS: Final = 24 * 3600
_MAX_KEY_LENGTH: Final = 255


def check_key(key: str) -> None:
    """Refuse a key no answer could be kept under."""
    if not key or len(key) > _MAX_KEY_LENGTH:
        raise InvalidRequest(f"The idempotency key must have 1 to {_MAX_KEY_LENGTH} characters.")


def fingerprint(form: Form) -> str:
    """The same for the same parameters; a hash, so that no parameter is kept."""
    return hashlib.sha256(canonical(form).encode()).hexdigest()


class Keys:
    """Which keys have an answer, and which are being worked on right now."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._in_flight: set[tuple[str, str]] = set()

    def earlier_answer(
        self, account: str, key: str, *, path: str, parameters: str, now: int
    ) -> StoredAnswer | None:
        """What the key's first request was answered, if it was this very request."""
        if (account, key) in self._in_flight:
            raise KeyInUse(
                "Another request with this idempotency key is still in progress; try again later.",
                code="idempotency_key_in_use",
            )
        stored = self._storage.answer(account, key)
        if stored is None or stored.created + KEY_LIVES_SECONDS <= now:
            return None
        if stored.path != path:
            raise KeyReused(
                f"This idempotency key was first used for {stored.path}; use another one here."
            )
        if stored.fingerprint != parameters:
            raise KeyReused(
                f"The idempotency key {key!r} was first used with other parameters;"
                " use another one for another request."
            )
        return stored

    @contextmanager
    def in_flight(self, account: str, key: str | None) -> Iterator[None]:
        """Hold a key while its request is worked on, until its answer is durable."""
        if key is None:
            yield
            return
        self._in_flight.add((account, key))
        try:
            yield
        finally:
            self._in_flight.discard((account, key))
