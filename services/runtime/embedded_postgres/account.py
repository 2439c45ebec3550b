"""The account the server runs under. PostgreSQL refuses to run as root, so root lends it another.

Root is common: containers and fresh virtual machines have nobody else. The account `pgserver` is
made once, owns the data directory, and can log in nowhere. Where a folder on the way to the
programs or the data is closed to it, that folder alone is opened for passing through (not for
listing), and the log names it.
"""

import logging
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.runtime.startup import StartupError

_log = logging.getLogger(__name__)

ACCOUNT_NAME: Final = "pgserver"


@dataclass(frozen=True)
class Account:
    """Who runs the server; `borrowed` when that is not ourselves."""

    uid: int
    gid: int
    borrowed: bool

    def take(self, folder: Path) -> None:
        """Make the folder the account's own."""
        if self.borrowed:
            os.chown(folder, self.uid, self.gid)

    def open_way_to(self, path: Path) -> None:
        """Let the account pass through every folder above `path`."""
        if not self.borrowed:
            return
        for folder in reversed(path.resolve().parents):
            if not self._may(folder.stat(), stat.S_IXOTH):
                _log.warning(
                    "opened %s for passing through (chmod o+x), so that the database server's"
                    " account %s can reach %s",
                    folder,
                    ACCOUNT_NAME,
                    path,
                )
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)

    def open_installation(self, programs: Path, installation: tuple[Path, ...]) -> None:
        """Let the account run the programs, where they were installed for root's eyes only too."""
        self.open_way_to(programs / "postgres")
        readable = stat.S_IROTH | stat.S_IXOTH
        if not self.borrowed or self._may((programs / "postgres").stat(), readable):
            return
        for folder in installation:
            _log.warning("opened %s for the account %s (chmod -R o+rX)", folder, ACCOUNT_NAME)
            for path in (folder, *folder.rglob("*")):
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))

    def _may(self, status: os.stat_result, wanted: int) -> bool:
        """Whether the mode grants `wanted` (given as bits for others) to the account."""
        if status.st_uid == self.uid:
            wanted <<= 6
        elif status.st_gid == self.gid:
            wanted <<= 3
        return status.st_mode & wanted == wanted


def server_account(data: Path) -> Account:
    """Ourselves, or for root whoever owns the data already, or the account `pgserver`."""
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise StartupError(f"{data} belongs to another account: run as that account or as root")
        return Account(os.geteuid(), os.getegid(), borrowed=False)
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, borrowed=True)
    entry = _entry() or _make_account()
    return Account(entry.pw_uid, entry.pw_gid, borrowed=True)


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None


def _make_account() -> pwd.struct_passwd:
    commands = (
        ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"),
        ("adduser", "-S", "-D", "-H", "-s", "/sbin/nologin"),
    )
    complaint = "there is neither useradd nor adduser"
    for program, *options in commands:
        found = shutil.which(program)
        if found is None:
            continue
        made = subprocess.run(  # noqa: S603 -- a system program and a fixed name
            [found, *options, ACCOUNT_NAME], capture_output=True, text=True, check=False
        )
        # Another process may have made it between our look and our try.
        entry = _entry()
        if entry is not None:
            return entry
        complaint = made.stderr.strip()
    raise StartupError(
        f"PostgreSQL does not run as root, and the account {ACCOUNT_NAME} could not be made"
        f" ({complaint}): make it, run as another user, or set DATABASE_URL"
    )
