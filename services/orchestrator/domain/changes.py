"""What was done to a payment since it was last saved, noted down and handed over as one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.kernel.events import SequencedEvent
from services.kernel.ids import AttemptId, DisputeId, PostingId, RefundId, StepId
from services.orchestrator.domain.applied import AppliedEvent
from services.orchestrator.domain.attempt import Attempt, Step
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import Posting, Refusal
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import AttemptState, PaymentState


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state and what made it."""

    before: PaymentState | None
    after: PaymentState
    cause: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What was done to a payment since it stood as `expected_version`; zero is a new one's."""

    expected_version: int
    plan: Plan | None
    """The plan, where it was made just now."""
    is_request_new: bool
    transitions: tuple[Transition, ...]
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    refunds: tuple[Refund, ...]
    disputes: tuple[Dispute, ...]
    postings: tuple[Posting, ...]
    rejected: Mapping[PostingId, Refusal]
    applied: AppliedEvent | None
    events: tuple[SequencedEvent, ...]

    @property
    def opened(self) -> frozenset[AttemptId]:
        """The attempts that this makes known for the first time, to be carried out."""
        return frozenset(each.id for each in self.attempts if each.state is AttemptState.OPEN)

    @property
    def ended_operation(self) -> str:
        """What was asked of a processor by the attempt that has ended; empty where none has."""
        return next((str(each.operation) for each in self.attempts if each.is_settled), "")


@dataclass(slots=True)
class Notes:
    """What was changed; the order is that in which it was."""

    is_touched: bool = False
    plan: Plan | None = None
    is_request_new: bool = False
    transitions: list[Transition] = field(default_factory=list)
    steps: dict[StepId, None] = field(default_factory=dict)
    attempts: dict[AttemptId, None] = field(default_factory=dict)
    taken_with_hold: Attempt | None = None
    """The authorization that took its amount at once."""
    refunds: dict[RefundId, None] = field(default_factory=dict)
    disputes: dict[DisputeId, None] = field(default_factory=dict)
    postings: list[Posting] = field(default_factory=list)
    rejected: dict[PostingId, Refusal] = field(default_factory=dict)
    applied: AppliedEvent | None = None
