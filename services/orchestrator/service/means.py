"""What every desk works with: where payments are kept, who carries attempts out, who is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from services.kernel.clock import Clock
from services.kernel.crash_points import Reach, live_on
from services.kernel.ids import MerchantId, PaymentId
from services.orchestrator.domain.attempt import Execution, Order
from services.orchestrator.domain.changes import Changes
from services.orchestrator.domain.command import Call, Decided, KeyRecord
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import Claim, Hold, Lease, Written

Describe = Callable[[Payment, Call], bytes]
"""A payment as one who called is told of it."""


class Store(Protocol):
    """Where payments are kept."""

    async def save(
        self,
        payment: Payment,
        changes: Changes,
        hold: Hold,
        *,
        claim: Claim | None = None,
        decided: Sequence[Decided] = (),
    ) -> Written: ...

    async def find(self, payment_id: PaymentId) -> Payment | None: ...

    async def find_version(self, payment_id: PaymentId) -> int | None: ...

    async def find_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None: ...

    async def take(self, payment_id: PaymentId) -> Lease | None: ...


class Router(Protocol):
    """RouterService; whatever it meets, there is an execution, UNKNOWN if need be."""

    async def execute(self, order: Order) -> Execution: ...

    async def look_up(self, order: Order) -> Execution: ...


Trace = Callable[[str, str | None, Mapping[str, str]], AbstractContextManager[object]]
"""Records a piece of work in the trace of the payment that it is done for."""


def untraced(
    _name: str, _traceparent: str | None, _words: Mapping[str, str]
) -> AbstractContextManager[object]:
    """Nobody records it."""
    return nullcontext()


async def send_all(_order: Order) -> None:
    """Nothing is kept from being sent."""


Report = Callable[[Payment, Changes], None]


def unreported(_payment: Payment, _changes: Changes) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Means:
    """What every desk works with."""

    store: Store
    router: Router
    describe: Describe
    clock: Clock
    tell: Callable[[Decided], None]
    """Tells a caller who waits in this process."""
    reach: Reach = live_on
    forbid: Callable[[Order], Awaitable[Execution | None]] = send_all
    """What comes of an attempt that must not be sent after all; None where it may."""
    trace: Trace = untraced
    report: Report = unreported
    """Tells inside of what was committed."""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
