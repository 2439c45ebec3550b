"""One sandbox a folder: of two, each would answer without what the other one has in memory."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Final

_NAME: Final = "sandbox.lock"
# The kernel drops the lock with its holder, but a starter that was killed can have a successor
# before its sandbox has noticed.
_PATIENCE_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.05


class FolderInUse(Exception):
    """Another sandbox runs on the same folder."""


class FolderLock:
    """The right to a folder, until it is released or its holder ends, however that comes about."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    async def take(cls, folder: Path) -> FolderLock:
        """Wait a moment for who is about to leave; raises FolderInUse if nobody does."""
        descriptor = _open(folder)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_SECONDS
        while not _is_ours(descriptor):
            if loop.time() > deadline:
                os.close(descriptor)
                raise FolderInUse(
                    f"another sandbox runs on {folder}: stop it, or name another --data"
                )
            await asyncio.sleep(_POLL_SECONDS)
        return cls(descriptor)

    def release(self) -> None:
        """Let the next one have the folder."""
        os.close(self._descriptor)


def _open(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o600)


def _is_ours(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
