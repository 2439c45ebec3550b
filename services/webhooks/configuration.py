"""Which accounts may tell us things: their secrets, read where the environment or a file says.

STRIPE_WEBHOOK_SECRET holds the secrets of the one account that STRIPE_API_KEY opens, with commas
between them. With PROCESSORS_FILE each processor's options say where its account's secrets are:

    options = { api_key_env = "STRIPE_API_KEY_EU", webhook_secret_file = "/run/secrets/stripe_eu" }

Processors that have a secret or an API key in common share an account. A file is read again every
second while deliveries come in, so that a secret is added or taken away without a restart.
"""

import logging
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.kernel.clock import Clock
from services.runtime.settings import Settings, SettingsError
from services.webhooks.domain.signature import Account

_ADAPTER: Final = "stripe"
_KEY: Final = "STRIPE_API_KEY"
_SECRET: Final = "STRIPE_WEBHOOK_SECRET"  # noqa: S105 -- the name of a variable
_IMPLIED: Final = ("stripe", "apple_pay")
_SHAPE: Final = re.compile(r"[\x21-\x7e]{8,512}")
_READ_AGAIN_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class _Options(BaseModel):
    """Of a processor's options, those that are about webhooks, and those that name its account."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    api_key_env: str | None = None
    api_key_file: Path | None = None
    base_url: str | None = None

    webhook_secret_env: str | None = None
    webhook_secret_file: Path | None = None


class _Entry(BaseModel):
    """One processor as the file tells of it, as far as webhooks go."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: str
    options: _Options = Field(default_factory=_Options)


@dataclass(frozen=True, slots=True)
class _Holder:
    """A processor, what opens its account, and the place where that account's secrets are."""

    processor_id: str
    opener: str
    """Where its API key is and whom it is shown to: those who agree read one list of events."""
    place: str
    read: Callable[[], str]


class Keyring:
    """The accounts and their secrets as they are now."""

    def __init__(self, holders: Sequence[_Holder], clock: Clock) -> None:
        self._holders = holders
        self._clock = clock
        self._accounts = _accounts(holders)
        self._stale_at = clock.monotonic() + _READ_AGAIN_SECONDS

    def accounts(self, adapter: str) -> Sequence[Account]:
        """Those whose deliveries come by this adapter."""
        return [account for account in self._current() if account.adapter == adapter]

    def names(self) -> Sequence[str]:
        """A processor for each list of events that there is to read.

        Not one for each account: who signs with one secret for several, as a platform may for those
        connected to it, still lists what happened in each of them apart.
        """
        first: dict[str, str] = {}
        for holder in self._holders:
            first.setdefault(holder.opener, holder.processor_id)
        return tuple(first.values())

    def sharers(self, processor_id: str) -> Sequence[str]:
        """The processors that share an account with this one, itself first."""
        for account in self._current():
            if processor_id in account.processor_ids:
                others = (each for each in account.processor_ids if each != processor_id)
                return (processor_id, *others)
        return (processor_id,)

    def _current(self) -> Sequence[Account]:
        if self._clock.monotonic() >= self._stale_at:
            self._stale_at = self._clock.monotonic() + _READ_AGAIN_SECONDS
            try:
                self._accounts = _accounts(self._holders)
            except SettingsError as error:
                _log.error("webhook secrets stay as they were: %s", error)
        return self._accounts


def open_keyring(
    settings: Settings, clock: Clock, environment: Mapping[str, str] = os.environ
) -> Keyring:
    """The accounts that are configured; raises SettingsError."""
    if settings.processors_file is not None:
        return Keyring(_listed(settings.processors_file, environment), clock)
    secrets = environment.get(_SECRET, "")
    implied = _IMPLIED if secrets else ()
    return Keyring([_Holder(name, _KEY, _SECRET, lambda: secrets) for name in implied], clock)


def _listed(file: Path, environment: Mapping[str, str]) -> Sequence[_Holder]:
    try:
        tables = tomllib.loads(file.read_text()).get("processors", [])
        entries = [_Entry.model_validate(table) for table in tables]
    except ValidationError as error:
        lines = {f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()}
        raise SettingsError(
            "\n".join(f"PROCESSORS_FILE {file}: {line}" for line in sorted(lines))
        ) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"PROCESSORS_FILE {file} cannot be read: {error}") from None
    holders = (_holder(entry, environment) for entry in entries)
    return [holder for holder in holders if holder is not None]


def _holder(entry: _Entry, environment: Mapping[str, str]) -> _Holder | None:
    variable, file = entry.options.webhook_secret_env, entry.options.webhook_secret_file
    if variable is not None and file is not None:
        raise SettingsError(
            f"processor {entry.id}: say webhook_secret_env or webhook_secret_file, and not both"
        )
    opener = _opener(entry)
    if variable is not None:
        return _Holder(entry.id, opener, variable, lambda: environment.get(variable, ""))
    return None if file is None else _Holder(entry.id, opener, str(file), file.read_text)


def _opener(entry: _Entry) -> str:
    options = entry.options
    key = options.api_key_env or options.api_key_file
    return entry.id if key is None else f"{key} at {options.base_url or 'its own address'}"


def _accounts(holders: Sequence[_Holder]) -> Sequence[Account]:
    """Processors that have a secret or a key in common, together."""
    accounts: list[tuple[Account, frozenset[str]]] = []
    for holder in holders:
        processor_ids: tuple[str, ...] = (holder.processor_id,)
        secrets = _secrets(holder)
        openers = frozenset({holder.opener})
        apart = []
        for account, others in accounts:
            if set(account.secrets).isdisjoint(secrets) and others.isdisjoint(openers):
                apart.append((account, others))
                continue
            processor_ids = (*account.processor_ids, *processor_ids)
            secrets = tuple(dict.fromkeys((*account.secrets, *secrets)))
            openers |= others
        accounts = [*apart, (Account(_ADAPTER, processor_ids, secrets), openers)]
    return [account for account, _ in accounts]


def _secrets(holder: _Holder) -> tuple[bytes, ...]:
    try:
        words = re.split(r"[,\s]+", holder.read().strip())
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{holder.place} cannot be read: {type(error).__name__}"
        raise SettingsError(f"webhook secrets of {holder.processor_id}: {problem}") from None
    if not all(map(_SHAPE.fullmatch, words)):
        raise SettingsError(
            f"webhook secrets of {holder.processor_id}: {holder.place} wants secrets of 8 to 512"
            " characters, with commas between them"
        )
    return tuple(word.encode() for word in dict.fromkeys(words))
