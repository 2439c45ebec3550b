"""How long the call at hand may still take, for the calls that its handler makes in turn."""

import time
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("switchyard_deadline", default=None)


def begin_deadline(remaining_seconds: float | None) -> None:
    """Note the deadline of the call that this task answers."""
    _ends_at.set(None if remaining_seconds is None else time.monotonic() + remaining_seconds)


def remaining_seconds() -> float | None:
    """How long the call at hand may still take; None outside of any call."""
    ends_at = _ends_at.get()
    return None if ends_at is None else max(ends_at - time.monotonic(), 0.0)
