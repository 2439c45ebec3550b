"""What an adapter registers: how it is set up, what it takes, and how one is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.kernel.clock import Clock
from services.kernel.context import PaymentMethod
from services.processor.service.adapter import Adapter


class Options(BaseModel):
    """What an operator can say of one processor; an adapter adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every adapter of a process may use."""

    clock: Clock
    environment: Mapping[str, str]
    allow_live_keys: bool = False
    return_url: str | None = None
    """Where customers return to after an authentication when an attempt does not say."""


@dataclass(frozen=True, slots=True)
class Made:
    """An adapter, and whether it moves real money."""

    adapter: Adapter
    live: bool


class OptionsError(Exception):
    """An option is wrong; the message completes "processor …:"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterKind:
    """One kind of adapter. `options` is a subclass of Options, and what `make` takes."""

    options: type[Options]
    make: Callable[[Any, Surroundings], Made]
    methods: tuple[PaymentMethod, ...]
    key_window: timedelta
