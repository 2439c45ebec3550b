"""A plan from its message, as far as carrying it out needs it."""

from payments.core.v1.payment_terms_pb2 import RetryPolicy as RetryPolicyMessage
from payments.plan.v1 import payment_plan_pb2
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest

from services.kernel.context import CoreRequestContext
from services.kernel.ids import MerchantId
from services.kernel.retry import MAX_TRIES, RetryPolicy
from services.orchestrator.domain.plan import Candidate, Plan, PlanStep
from services.orchestrator.translate.request import request_message
from services.orchestrator.translate.words import (
    CAPTURE_METHODS,
    SPLIT_POLICIES,
    instrument_from,
    invalid,
    money_from,
    name_text,
    span,
    word,
)


def plan_from_message(message: payment_plan_pb2.PaymentPlan) -> Plan:
    """The plan, with its message as the record of why it is what it is."""
    return Plan(
        digest=name_text("plan.digest", message.digest),
        merchant_id=MerchantId.parse(message.merchant_id),
        config_version=message.config_version,
        total=money_from(message.total),
        split_policy=word("plan.split_policy", message.split_policy, SPLIT_POLICIES),
        capture_method=word("plan.capture_method", message.capture_method, CAPTURE_METHODS),
        platform_fee=money_from(message.platform_fee),
        steps=tuple(
            _step_from(f"plan.steps[{number}]", step) for number, step in enumerate(message.steps)
        ),
        record=message.SerializeToString(deterministic=True),
    )


def build_plan_request(request: CoreRequestContext) -> BuildPlanRequest:
    return BuildPlanRequest(context=request_message(request))


def retry_policy_message(policy: RetryPolicy) -> RetryPolicyMessage:
    message = RetryPolicyMessage(
        max_tries=policy.max_tries,
        backoff_growth_percent=policy.backoff_growth_percent,
        jitter_percent=policy.jitter_percent,
    )
    message.initial_backoff.FromTimedelta(policy.initial_backoff)
    message.max_backoff.FromTimedelta(policy.max_backoff)
    return message


def _step_from(path: str, message: payment_plan_pb2.PaymentStep) -> PlanStep:
    return PlanStep(
        index=message.index,
        instrument=instrument_from(f"{path}.instrument", message.instrument),
        amount=money_from(message.amount),
        max_amount=money_from(message.max_amount),
        candidates=tuple(
            _candidate_from(f"{path}.candidates[{number}]", candidate)
            for number, candidate in enumerate(message.candidates)
        ),
        timeout=span(f"{path}.timeout", message.timeout),
        retry_policy=_retry_policy_from(f"{path}.retry_policy", message.retry_policy)
        if message.HasField("retry_policy")
        else RetryPolicy(),
        failover_on_soft_decline=message.failover_on_soft_decline,
    )


def _candidate_from(path: str, message: payment_plan_pb2.Candidate) -> Candidate:
    processor_id = name_text(f"{path}.processor_id", message.processor_id)
    if not message.HasField("timeout"):
        return Candidate(processor_id, None)
    timeout = span(f"{path}.timeout", message.timeout)
    if not timeout:
        raise invalid(f"{path}.timeout", "timeout.positive", "must be more than nothing")
    return Candidate(processor_id, timeout)


def _retry_policy_from(path: str, message: RetryPolicyMessage) -> RetryPolicy:
    numbers = (message.max_tries, message.backoff_growth_percent, message.jitter_percent)
    if min(numbers) < 0 or message.max_tries > MAX_TRIES or message.jitter_percent > 100:
        problem = f"takes 1 to {MAX_TRIES} tries, no number below zero, at most 100 percent jitter"
        raise invalid(path, "retry_policy.range", problem)
    return RetryPolicy(
        max_tries=message.max_tries or MAX_TRIES,
        initial_backoff=span(f"{path}.initial_backoff", message.initial_backoff),
        max_backoff=span(f"{path}.max_backoff", message.max_backoff),
        backoff_growth_percent=message.backoff_growth_percent,
        jitter_percent=message.jitter_percent,
    )
