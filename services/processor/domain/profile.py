"""What a processor is and what it takes, as plans and operators see it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique

from services.kernel.context import CardNetwork, PaymentMethod
from services.processor.domain.attempt import Operation


@unique
class ProcessorState(StrEnum):
    """Whether a processor takes new payments, or only sees to those it has."""

    ENABLED = "enabled"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One account at one payment processor; an empty list of what it takes means all."""

    id: str
    adapter: str
    live: bool
    methods: tuple[PaymentMethod, ...]
    key_window: timedelta
    state: ProcessorState = ProcessorState.ENABLED
    currencies: tuple[str, ...] = ()
    card_networks: tuple[CardNetwork, ...] = ()
    countries: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = tuple(Operation)
