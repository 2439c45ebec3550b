"""What is agreed between those who change payments and the store that commits the changes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from services.kernel.ids import PaymentId, RefundId
from services.kernel.money import Money
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.command import Answer, Command
from services.orchestrator.domain.quota import Draws

LEASE: Final = timedelta(seconds=15)
"""How long what a process took up is its own without its saying anything."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that a unit takes, with the answer where that is decided at once, and its draws."""

    command: Command
    refund_id: RefundId | None = None
    draws: Draws = ()
    """What the call draws of quotas; a repeat, which does not get the key, draws nothing."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Who drives: whether the payment needs it after this, and in which epoch it did before."""

    drives: bool
    epoch: int = 0
    is_required: bool = False
    """Whether it is saved only if nobody has begun another epoch since."""


@dataclass(frozen=True, slots=True)
class Saved:
    """It is committed; whether the one who saved it drives the payment, and in which epoch."""

    drives: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class ToldBefore:
    """An event was taken before, and did this."""

    disposition: Disposition
    message: str


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Nothing was written: somebody else drives the payment, and it is theirs to decide."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A payment that was taken up, to be driven in this epoch."""

    payment_id: PaymentId
    epoch: int


Written: TypeAlias = Saved | Answer | ToldBefore | Overtaken
"""What a unit came to: committed, left to others, or what stands under its key or event."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is in doubt in one currency."""

    payments: int
    amount: Money
    since: datetime
