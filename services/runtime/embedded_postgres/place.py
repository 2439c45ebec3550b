"""Where the embedded server lives: the folders and files under `<home>/postgres`."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.runtime.embedded_postgres.account import Account
from services.runtime.startup import StartupError

PORT: Final = 5432
# 108 bytes on Linux and 104 on macOS, with the byte that ends it.
_LONGEST_SOCKET_PATH: Final = 103
_LARGEST_LOG_BYTES: Final = 10_000_000


@dataclass(frozen=True)
class Place:
    """The folder `<home>/postgres`, and what is where in it."""

    root: Path

    @classmethod
    def under(cls, home: Path) -> "Place":
        """Make the folder; what it holds is made by whoever needs it."""
        root = home.resolve() / "postgres"
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(f"cannot make {root}: {error.strerror}") from error
        return cls(root)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def start_lock(self) -> Path:
        """Held while a server is started; by who borrows one, until it is stopped again."""
        return self.root / "start.lock"

    @property
    def owner_lock(self) -> Path:
        """Held by the process whose server it is, as long as that lives."""
        return self.root / "owner.lock"

    @property
    def socket_folder(self) -> Path:
        """The same for one home at every start; outside it where its path is too long."""
        inside = self.root / "socket"
        if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH:
            return inside
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"switchyard-{name}"

    def prepare_socket_folder(self, account: Account) -> None:
        """A private folder, emptied of what a killed server has left."""
        folder = self.socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        # The temporary folder is everybody's: another account may have laid something there first.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), account.uid):
            raise StartupError(f"{folder} is not ours: remove it")
        folder.chmod(0o700)
        account.take(folder)
        for leftover in folder.iterdir():
            leftover.unlink()

    def rotate_log(self) -> None:
        """Keep the log of the runs before, but not without end."""
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
