"""Holding payments to the merchant's policy: before they begin, and before a step is sent."""

from typing import Final, Protocol

import structlog

from services.kernel.context import CoreRequestContext
from services.kernel.errors import SwitchyardError
from services.kernel.ids import MerchantId
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Execution, Order
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.policy import Policy, check_amount
from services.orchestrator.domain.quota import Draws
from services.orchestrator.domain.state import Operation

FORBIDDEN: Final = Execution(
    Outcome.FAILED,
    error_code=ErrorCode.PROCESSING_ERROR,
    user_message=ErrorCode.PROCESSING_ERROR.user_message,
)
"""What comes of an attempt that the policy keeps from being sent."""

_log = structlog.get_logger()


class Policies(Protocol):
    """Where the policies of merchants are read, as they are now."""

    async def policy(self, merchant_id: MerchantId) -> Policy: ...


class PaymentPolicyEnforcer:
    """Judges payments by the newest policy of their merchant."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def admit_creation(self, request: CoreRequestContext) -> Draws:
        """What a payment that is only wanted yet counts for; what forbids it is raised."""
        check_amount(request.amount)
        policy = await self._policies.policy(request.merchant_id)
        policy.check_request(request)
        return policy.attempt_draws(request)

    async def admit_execution(self, request: CoreRequestContext, plan: Plan) -> Draws:
        """What a payment that is set going counts for; what forbids it is raised."""
        check_amount(request.amount)
        policy = await self._policies.policy(request.merchant_id)
        policy.check_plan(request, plan)
        return policy.attempt_draws(request) + policy.velocity_draws(request)

    async def forbid(self, order: Order) -> Execution | None:
        """The failure that stands for an attempt that must not be sent; None for one that may.

        Only what gets hold of money is judged: what is held may always be taken or let go. While
        nobody can say what the policy is, what was admitted is carried out.
        """
        if order.attempt.operation is not Operation.AUTHORIZE:
            return None
        try:
            policy = await self._policies.policy(order.merchant_id)
        except SwitchyardError as error:
            _log.warning("a step is sent without being judged again", problem=str(error))
            return None
        broken = tuple(
            policy.step_violations("step", order.instrument.method, order.attempt.amount)
        )
        if not broken:
            return None
        _log.warning(
            "the merchant's policy forbids a step",
            attempt_id=order.attempt.id,
            config_version=policy.config_version,
            violations=[f"{each.rule}: {each.message}" for each in broken],
        )
        return FORBIDDEN
