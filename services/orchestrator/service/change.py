"""A change: something that is to be done to a payment, and whoever waits for it to be committed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.kernel.ids import MerchantId, RefundId
from services.orchestrator.domain.command import Command
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.quota import Draws
from services.orchestrator.domain.saving import Written

Apply = Callable[[Payment], RefundId | None]
"""Does something to a payment, or raises why not; a refund that was asked for is named."""


@dataclass(slots=True, eq=False)
class Change:
    """What is to be done, and on which terms."""

    apply: Apply
    command: Command | None = None
    draws: Draws = ()
    """What the command draws of quotas, when it is the first under its key."""
    merchant_id: MerchantId | None = None
    """Whose the payment must be; None for what needs no merchant's leave."""
    drives: bool = True
    """Whether what follows is carried out here, and not left to any worker."""
    is_fact: bool = False
    """Whether it has happened outside: then it is saved however long that takes."""
    is_forced: bool = False
    """Whether it is saved though nothing was changed, so that the payment is driven no more."""
    epoch: int | None = None
    """In which epoch its driver found it out; by another it is not for that driver to say."""
    answers_at_once: bool = False
    """Whether its caller is told how the payment stands, and not what becomes of it."""
    done: "asyncio.Future[Written]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self, written: Written) -> None:
        if not self.done.done():
            self.done.set_result(written)

    def refuse(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            # Whoever asked may have gone away, and an error nobody hears is no news.
            self.done.exception()
