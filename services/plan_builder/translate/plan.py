"""A plan as a message, the same bytes for the same plan; and a plan from its message."""

import hashlib

from payments.core.v1 import payment_method_pb2
from payments.plan.v1 import payment_plan_pb2

from services.kernel.context import PaymentInstrument
from services.kernel.ids import MerchantId
from services.kernel.retry import RetryPolicy
from services.plan_builder.domain.plan import (
    Candidate,
    CandidateDecision,
    PaymentPlan,
    PaymentStep,
)
from services.plan_builder.translate.words import retry_policy_from
from services.runtime.wire.amounts import money_from, money_message
from services.runtime.wire.moments import duration
from services.runtime.wire.retry import retry_policy_message
from services.runtime.wire.words import (
    CAPTURE_METHODS,
    CAPTURE_NUMBERS,
    METHOD_NUMBERS,
    METHODS,
    NETWORK_NUMBERS,
    NETWORKS,
    SPLIT_NUMBERS,
    SPLIT_POLICIES,
)


def plan_message(plan: PaymentPlan) -> payment_plan_pb2.PaymentPlan:
    """The plan with its digest; equal plans are equal bytes, as nothing in them is a map."""
    message = payment_plan_pb2.PaymentPlan(
        merchant_id=plan.merchant_id,
        config_version=plan.config_version,
        total=money_message(plan.total),
        split_policy=SPLIT_NUMBERS[plan.split_policy],
        capture_method=CAPTURE_NUMBERS[plan.capture_method],
        steps=[_step_message(step) for step in plan.steps],
        platform_fee=money_message(plan.platform_fee),
    )
    content = message.SerializeToString(deterministic=True)
    message.digest = hashlib.sha256(content).hexdigest()
    return message


def plan_from_message(message: payment_plan_pb2.PaymentPlan) -> PaymentPlan:
    """A plan that was stored, which is known to be sound."""
    return PaymentPlan(
        merchant_id=MerchantId.parse(message.merchant_id),
        config_version=message.config_version,
        total=money_from(message.total),
        split_policy=SPLIT_POLICIES[message.split_policy],
        capture_method=CAPTURE_METHODS[message.capture_method],
        steps=tuple(_step_from(step) for step in message.steps),
        platform_fee=money_from(message.platform_fee),
    )


def _step_from(message: payment_plan_pb2.PaymentStep) -> PaymentStep:
    instrument = message.instrument
    return PaymentStep(
        index=message.index,
        instrument=PaymentInstrument(
            METHODS[instrument.method], instrument.token or None, NETWORKS.get(instrument.network)
        ),
        amount=money_from(message.amount),
        max_amount=money_from(message.max_amount),
        candidates=tuple(_candidate_from(candidate) for candidate in message.candidates),
        timeout=message.timeout.ToTimedelta(),
        retry_policy=retry_policy_from(message) or RetryPolicy(),
        failover_on_soft_decline=message.failover_on_soft_decline,
        decisions=tuple(
            CandidateDecision(
                decision.processor_id,
                decision.verdict == payment_plan_pb2.CANDIDATE_VERDICT_KEPT,
                decision.rule,
                decision.message,
            )
            for decision in message.decisions
        ),
    )


def _candidate_from(message: payment_plan_pb2.Candidate) -> Candidate:
    timeout = message.timeout.ToTimedelta() if message.HasField("timeout") else None
    return Candidate(message.processor_id, timeout)


def _step_message(step: PaymentStep) -> payment_plan_pb2.PaymentStep:
    instrument = payment_method_pb2.PaymentInstrument(
        method=METHOD_NUMBERS[step.instrument.method], token=step.instrument.token or ""
    )
    if step.instrument.network is not None:
        instrument.network = NETWORK_NUMBERS[step.instrument.network]
    return payment_plan_pb2.PaymentStep(
        index=step.index,
        instrument=instrument,
        amount=money_message(step.amount),
        max_amount=money_message(step.max_amount),
        candidates=[_candidate_message(candidate) for candidate in step.candidates],
        timeout=duration(step.timeout),
        retry_policy=retry_policy_message(step.retry_policy),
        failover_on_soft_decline=step.failover_on_soft_decline,
        decisions=[_decision_message(decision) for decision in step.decisions],
    )


def _candidate_message(candidate: Candidate) -> payment_plan_pb2.Candidate:
    message = payment_plan_pb2.Candidate(processor_id=candidate.processor_id)
    if candidate.timeout is not None:
        message.timeout.FromTimedelta(candidate.timeout)
    return message


def _decision_message(decision: CandidateDecision) -> payment_plan_pb2.CandidateDecision:
    return payment_plan_pb2.CandidateDecision(
        processor_id=decision.processor_id,
        verdict=payment_plan_pb2.CANDIDATE_VERDICT_KEPT
        if decision.is_kept
        else payment_plan_pb2.CANDIDATE_VERDICT_REJECTED,
        rule=decision.rule,
        message=decision.message,
    )
