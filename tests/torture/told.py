"""What callers were told: it must be there in the end, and never be another answer later."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.orchestrator.v1.refund_pb2 import Refund

A = TypeVar(
    "A",
    pb.CreatePaymentResponse,
    pb.ConfirmPaymentResponse,
    pb.ExecutePlanResponse,
    pb.CapturePaymentResponse,
    pb.VoidPaymentResponse,
    pb.RefundPaymentResponse,
)


@dataclass
class Told:
    """All that callers were told, and what was wrong with it."""

    payments: dict[str, Payment] = field(default_factory=dict)
    """Each payment as it was told of last."""
    refunds: dict[str, Refund] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def note(self, call: str, answer: A) -> None:
        self.calls[call] += 1
        known = self.payments.get(answer.payment.id)
        if known is None or known.version <= answer.payment.version:
            self.payments[answer.payment.id] = answer.payment
        if isinstance(answer, pb.RefundPaymentResponse):
            self.refunds[answer.refund.id] = answer.refund


_TAKEN: Final = frozenset({"captured", "refunded", "disputed"})
_NEXT: Final[Mapping[str, frozenset[str]]] = {
    "created": frozenset({"confirming", "failed", "authorized", "voided", *_TAKEN}),
    "confirming": frozenset({"failed", "authorized", "voided", *_TAKEN}),
    "authorized": frozenset({"voided", *_TAKEN}),
    "captured": _TAKEN,
}


def may_have_become(told: str, now: str) -> bool:
    """Whether a payment that was told to be in one state can be in the other by now."""
    return told == now or now in _NEXT.get(told, frozenset())
