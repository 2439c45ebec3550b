"""The pepper of the installation: what ACCESS_KEY_PEPPER says, or a file in the home.

It is not in the database, so that whoever gets a copy of the tables has nothing to make keys from.
Processes that share a database must share it too: one home on one machine, the setting on several.
"""

import logging
import os
import secrets
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
    """Put a new one there; of two processes that do so at once, both use the one that is first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{_NAME}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    try:
        draft.write_text(secrets.token_hex(_BYTES))
        path.hardlink_to(draft)
        _log.info("made %s: API keys are worth nothing without it, so back it up", path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
