"""What is told inside of a payment once a commit has made it so: lines of the log, and counts.

It comes after the commit and from the process that made it, so that nothing is told twice, and
nothing that was not to be.
"""

from datetime import timedelta
from typing import Final, Protocol

import structlog

from services.kernel.context import CaptureMethod
from services.orchestrator.domain.changes import Changes
from services.orchestrator.domain.events import (
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
)
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.state import PaymentState, RefundState

_log = structlog.get_logger()


class Counts(Protocol):
    """Where payments and refunds are counted."""

    def reached(self, state: PaymentState) -> None: ...

    def decided(self, duration: timedelta) -> None: ...

    def refunded(self) -> None: ...

    def refund_failed(self) -> None: ...


class Reporting:
    """Tells of what was committed."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def committed(self, payment: Payment, changes: Changes) -> None:
        """Tell of the changes that were just committed to a payment."""
        for transition in changes.transitions:
            self._counts.reached(transition.after)
            if transition.after in _outcomes(payment):
                self._counts.decided(transition.occurred_at - payment.standing.created_at)
        for told in changes.events:
            match told.event:
                case PaymentFailed() as failed:
                    _log.error(
                        "payment failed",
                        **_ids(payment),
                        error_code=str(failed.error.code),
                        decline_code=failed.error.decline_code,
                    )
                case PaymentRefunded() as refunded:
                    self._refunded(payment, refunded)
                case PaymentRefundFailed() as failure:
                    self._counts.refund_failed()
                    _log.error(
                        "refund failed",
                        **_ids(payment),
                        refund_id=failure.refund_id,
                        amount=str(failure.amount),
                        error_code=str(failure.error.code),
                    )

    def _refunded(self, payment: Payment, refunded: PaymentRefunded) -> None:
        of_it = (each for each in payment.refunds if each.id == refunded.refund_id)
        # A refund of several parts is one, and is paid with the last of them.
        if any(each.state is RefundState.SUCCEEDED for each in of_it):
            self._counts.refunded()
        _log.info(
            "refund paid",
            **_ids(payment),
            refund_id=refunded.refund_id,
            amount=str(refunded.amount),
            is_full=refunded.is_full,
        )


_AT_ONCE: Final = frozenset({PaymentState.FAILED, PaymentState.CAPTURED})
_BY_HAND: Final = frozenset({PaymentState.FAILED, PaymentState.AUTHORIZED})


def _outcomes(payment: Payment) -> frozenset[PaymentState]:
    """The states of which one is what the merchant has asked for, or that it failed."""
    by_hand = payment.plan is not None and payment.plan.capture_method is CaptureMethod.MANUAL
    return _BY_HAND if by_hand else _AT_ONCE


def _ids(payment: Payment) -> dict[str, str]:
    return {"payment_id": payment.id, "merchant_id": payment.merchant_id}
