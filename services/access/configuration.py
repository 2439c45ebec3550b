"""The pepper of the installation: what ACCESS_KEY_PEPPER says, or a file in the home.

It is not in the database, so that whoever gets a copy of the tables has nothing to make keys from.
Processes that share a database must share it too: one home on one machine, the setting on several.
"""

import logging
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from services.access.domain.secret import Pepper
from services.runtime.settings import Settings, SettingsError

_NAME: Final = "access-key-pepper"
_BYTES: Final = 32

_log = logging.getLogger(__name__)


def open_pepper(settings: Settings) -> Pepper:
    """The pepper that was set, or the home's own, made when it is wanted first."""
    if settings.access_key_pepper is not None:
        return Pepper(settings.access_key_pepper.get_secret_value().encode())
    path = settings.switchyard_home / _NAME
    try:
        if not path.exists():
            _make(path)
        pepper = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}, under which API keys are kept, cannot be used ({error}): restore it from a"
            " backup, or set ACCESS_KEY_PEPPER"
        ) from None
    if len(pepper) != _BYTES:
        raise SettingsError(f"{path} is not whole: restore it, or set ACCESS_KEY_PEPPER")
    return Pepper(pepper)


def _make(path: Path) -> None:
    """Put a new one there; of two that do so at once, both use the one that is there first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readable by its owner alone from the beginning.
    handle, draft = tempfile.mkstemp(prefix=f".{_NAME}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        Path(draft).unlink()
    _keep_entry(path.parent)
    _log.info("made %s: API keys are worth nothing without it, so back it up", path)


def _keep_entry(folder: Path) -> None:
    """A key is committed at once: what it was made under must outlive a loss of power as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
