"""What callers are told: an answer, or an error of the family, so that each can be told their own.

An error from outside the family would end a call for many units at the first unit it befell, and
the caller would never learn which of the others stand.
"""

from datetime import timedelta
from typing import Final, TypeAlias, TypeVar

import asyncpg

from services.kernel.errors import Internal, Reason, SwitchyardError, Unavailable
from services.runtime.database import is_connection_loss, is_retryable, is_too_slow
from services.runtime.group_commit.session import CommitLost

Answer = TypeVar("Answer")

Verdict: TypeAlias = Answer | SwitchyardError
"""What one caller is told: an answer (a replay is one too) or an error of their own."""

_RETRY_AFTER: Final = timedelta(seconds=1)

# Class 53 is a server short of disk, memory or connections.
_SHORT_OF_RESOURCES: Final = "53"


def of_family(error: Exception) -> SwitchyardError:
    """The error as one of the family, with the error itself as its cause."""
    if isinstance(error, SwitchyardError):
        return error
    told = _translated(error)
    told.__cause__ = error
    return told


def _translated(error: Exception) -> SwitchyardError:
    if is_retryable(error) or is_too_slow(error):
        return _unavailable(f"the database did not get to it: {error!r}", Reason.DATABASE_BUSY)
    if isinstance(error, CommitLost) or is_connection_loss(error) or _is_short_of_resources(error):
        return _unavailable(
            f"the database is away, nothing was written: {error!r}", Reason.DATABASE_UNAVAILABLE
        )
    return Internal(f"writing failed unexpectedly: {error!r}")


def not_begun() -> Unavailable:
    """The writer ended first; the unit was not written and will not be."""
    return _unavailable("shutting down; nothing of this was written", Reason.SHUTTING_DOWN)


def in_doubt() -> Unavailable:
    """The writer ended after it had asked for the commit and before it knew of it."""
    return _unavailable(
        "shutting down; whether this was written is not known, ask under the same key",
        Reason.DATABASE_UNAVAILABLE,
    )


def _unavailable(message: str, reason: Reason) -> Unavailable:
    return Unavailable(message, reason=reason, retry_after=_RETRY_AFTER)


def _is_short_of_resources(error: Exception) -> bool:
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith(
        _SHORT_OF_RESOURCES
    )
