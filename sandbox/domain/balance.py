"""The merchant's balance: one transaction for every movement of money, with Stripe's fee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from sandbox.domain.work import Entity, Work

FEE_BASIS_POINTS: Final = 290
FEE_FIXED_MINOR: Final = 30
DISPUTE_FEE_MINOR: Final = 1500
AVAILABLE_AFTER_SECONDS: Final = 2 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction(Entity):
    """Money that came or went; net is what reached the balance."""

    kind: ClassVar[str] = "balance_transaction"
    prefix: ClassVar[str] = "txn"

    type: str
    reporting_category: str
    amount: int
    fee: int
    currency: str
    source: str
    description: str | None
    available_on: int

    @property
    def net(self) -> int:
        """What reached the balance."""
        return self.amount - self.fee


def processing_fee(amount_minor: int) -> int:
    """Stripe's fee for a charge: 2.9 % rounded half up, plus a fixed part."""
    return (amount_minor * FEE_BASIS_POINTS + 5_000) // 10_000 + FEE_FIXED_MINOR


def record(
    work: Work,
    *,
    type: str,  # noqa: A002 (Stripe's own word for it)
    amount: int,
    currency: str,
    source: str,
    fee: int = 0,
    reporting_category: str | None = None,
    description: str | None = None,
    available_at_once: bool = False,
) -> BalanceTransaction:
    """Write one movement into the balance."""
    return work.put(
        BalanceTransaction(
            **work.identity(BalanceTransaction),
            type=type,
            reporting_category=reporting_category or type,
            amount=amount,
            fee=fee,
            currency=currency,
            source=source,
            description=description,
            available_on=work.now + (0 if available_at_once else AVAILABLE_AFTER_SECONDS),
        )
    )
