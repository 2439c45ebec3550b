"""RouterService, PlanBuilderService and LedgerService, as the orchestrator calls them."""

from collections.abc import Sequence
from typing import Final

from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub
from payments.router.v1.router_service_pb2_grpc import RouterServiceStub

from services.kernel.context import CoreRequestContext
from services.kernel.errors import SwitchyardError
from services.orchestrator.domain.attempt import Execution, Order
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import Booked, DuePosting, Refusal
from services.orchestrator.translate.plan import build_plan_request, plan_from_message
from services.orchestrator.translate.posting import batch_request, outcomes_from_response
from services.orchestrator.translate.routing import (
    execute_request,
    execution_from_lookup,
    execution_from_response,
    execution_not_found,
    execution_without_answer,
    lookup_request,
)
from services.runtime.rpc import typed_errors

# What the router may take beyond the attempt's own time to say that it ran out.
_MARGIN_SECONDS: Final = 1.0
_PLANNING_SECONDS: Final = 10.0
_POSTING_SECONDS: Final = 10.0


class Router:
    """Has attempts carried out."""

    def __init__(self, stub: RouterServiceStub) -> None:
        self._stub = stub

    async def execute(self, order: Order) -> Execution:
        """What came of an attempt, UNKNOWN where the router itself did not say."""
        timeout_seconds = order.timeout.total_seconds() + _MARGIN_SECONDS
        try:
            with typed_errors():
                response = await self._stub.ExecuteAttempt(
                    execute_request(order), timeout=timeout_seconds
                )
        except SwitchyardError as error:
            return execution_without_answer(order, error)
        return execution_from_response(response)

    async def look_up(self, order: Order) -> Execution:
        """What became of an attempt, UNKNOWN where that cannot be said."""
        try:
            with typed_errors():
                response = await self._stub.LookupAttempt(
                    lookup_request(order), timeout=order.timeout.total_seconds() + _MARGIN_SECONDS
                )
        except SwitchyardError as error:
            return execution_not_found(order, error)
        return execution_from_lookup(response)


class Planner:
    """Has plans built."""

    def __init__(self, stub: PlanBuilderServiceStub) -> None:
        self._stub = stub

    async def plan(self, request: CoreRequestContext) -> Plan:
        """The plan of a request, from the merchant's configuration as it is now."""
        with typed_errors():
            response = await self._stub.BuildPlan(
                build_plan_request(request), timeout=_PLANNING_SECONDS
            )
        return plan_from_message(response.plan)


class Ledger:
    """Has postings booked."""

    def __init__(self, stub: LedgerServiceStub) -> None:
        self._stub = stub

    async def post(self, postings: Sequence[DuePosting]) -> Sequence[Booked | Refusal]:
        """What became of each posting, in their order."""
        with typed_errors():
            response = await self._stub.BatchPostTransactions(
                batch_request(postings), timeout=_POSTING_SECONDS
            )
        return outcomes_from_response(response)
