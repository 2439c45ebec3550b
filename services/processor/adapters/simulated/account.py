"""Setting up a simulated processor."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from services.kernel.context import PaymentMethod
from services.processor.adapters.kind import AdapterKind, Made, Options, Surroundings
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.adapters.simulated.faults import Fault, SeededFaults

Percent = Annotated[float, Field(ge=0, le=100)]


class SimulatedOptions(Options):
    """How fast it is, and how bad its days are."""

    latency_ms: float = Field(default=0, ge=0)
    latency_spread_ms: float = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**64)
    faults_percent: dict[Fault, Percent] = Field(default_factory=dict)
    max_payments: int = Field(default=100_000, ge=1)


def open_account(options: SimulatedOptions, surroundings: Surroundings) -> Made:
    """A simulated processor, which moves no real money."""
    faults = SeededFaults(options.seed, options.faults_percent, max_keys=4 * options.max_payments)
    adapter = SimulatedAdapter(
        surroundings.clock,
        faults,
        seed=options.seed,
        latency_ms=options.latency_ms,
        latency_spread_ms=options.latency_spread_ms,
        max_payments=options.max_payments,
    )
    return Made(adapter, live=False)


KIND: Final = AdapterKind(
    options=SimulatedOptions,
    make=open_account,
    methods=tuple(PaymentMethod),
    key_window=timedelta(hours=24),
)
