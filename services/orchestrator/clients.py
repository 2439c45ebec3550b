"""The services that the orchestrator calls, as its use cases and workers see them."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, WatchConfigsRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.ledger.v1.ledger_service_pb2 import ListTransactionsRequest
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.ledger.v1.transaction_pb2 import Transaction
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub
from payments.router.v1.router_service_pb2_grpc import RouterServiceStub

from services.kernel.clock import Clock
from services.kernel.context import CoreRequestContext
from services.kernel.errors import DeadlineExceeded, NotFound, SwitchyardError, Unavailable
from services.kernel.ids import MerchantId, PaymentId
from services.kernel.paging import MAX_PAGE_SIZE
from services.orchestrator.domain.attempt import Execution, Order
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.posting import Booked, DuePosting, Refusal
from services.orchestrator.translate.plan import build_plan_request, plan_from_message
from services.orchestrator.translate.policy import policy_from_message
from services.orchestrator.translate.posting import (
    batch_request,
    booked_as,
    outcomes_from_response,
)
from services.orchestrator.translate.routing import (
    execute_request,
    execution_from_lookup,
    execution_from_response,
    execution_not_found,
    execution_without_answer,
    lookup_request,
)
from services.runtime.rpc import typed_errors
from services.runtime.single_flight import SingleFlight

# What the router may take beyond the attempt's own time to say that it ran out.
_MARGIN_SECONDS: Final = 1.0
_PLANNING_SECONDS: Final = 10.0
_POSTING_SECONDS: Final = 10.0
_READING_SECONDS: Final = 5.0
_POLICY_SECONDS: Final = 2.0
_POLICIES_MAX: Final = 4_096
_RETRY_AFTER: Final = timedelta(seconds=1)
_WATCH_SECONDS: Final = 3_600.0
# Half of the second within which a change must be seen, for want of anyone who tells of it.
_BLIND_SECONDS: Final = 0.5

_Value = TypeVar("_Value")

_log = logging.getLogger(__name__)


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
    """Has postings booked, and shows what is booked."""

    def __init__(self, stub: LedgerServiceStub) -> None:
        self._stub = stub

    async def post(self, postings: Sequence[DuePosting]) -> Sequence[Booked | Refusal]:
        """What became of each posting, in their order."""
        with typed_errors():
            response = await self._stub.BatchPostTransactions(
                batch_request(postings), timeout=_POSTING_SECONDS
            )
        return outcomes_from_response(response)

    async def find(self, posting: DuePosting) -> Booked | None:
        """Where the ledger has a posting, if it does: under its key, with its entries."""
        for body in await self.transactions(posting.payment_id):
            transaction = Transaction.FromString(body)
            if transaction.idempotency_key == posting.idempotency_key:
                return booked_as(transaction, posting)
        return None

    async def transactions(self, payment_id: PaymentId) -> Sequence[bytes]:
        """The transactions about a payment, oldest first, as the ledger tells them."""
        request = ListTransactionsRequest(reference_id=payment_id, page_size=MAX_PAGE_SIZE)
        found: list[bytes] = []
        while True:
            with typed_errors():
                page = await self._stub.ListTransactions(request, timeout=_READING_SECONDS)
            found += (each.SerializeToString() for each in page.transactions)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


class Configs:
    """Tells the policy that each merchant's newest configuration makes.

    While the watch is on, it tells of every new version. While it is not, a policy is believed for
    half a second.
    """

    def __init__(self, stub: MerchantConfigServiceStub, clock: Clock) -> None:
        self._stub = stub
        self._clock = clock
        self._policies: OrderedDict[MerchantId, tuple[Policy, float]] = OrderedDict()
        self._told: OrderedDict[MerchantId, int] = OrderedDict()
        self._reading: SingleFlight[tuple[MerchantId, int, int], Policy] = SingleFlight()
        self.is_watching = False
        self._watch_count = 0

    async def policy(self, merchant_id: MerchantId) -> Policy:
        """The merchant's policy as it is now."""
        known, read_at = self._policies.get(merchant_id, (None, 0.0))
        if known is not None and (
            self.is_watching or self._clock.monotonic() - read_at < _BLIND_SECONDS
        ):
            self._policies.move_to_end(merchant_id)
            return known
        # Who has heard of a newer version does not join in what was asked for before.
        asked = merchant_id, self._told.get(merchant_id, 0), self._watch_count
        return await self._reading.join(asked, partial(self._read_and_keep, merchant_id))

    async def _read_and_keep(self, merchant_id: MerchantId) -> Policy:
        watch = self._watch_count
        policy = await self._read(merchant_id)
        # What was asked for before the watch told of something newer is not kept.
        if watch == self._watch_count and policy.config_version >= self._told.get(merchant_id, 0):
            self._policies[merchant_id] = (policy, self._clock.monotonic())
            _bound(self._policies)
        return policy

    async def watch(self) -> bool:
        """Hear of new versions until the stream ends; whether it ended as it should."""
        call = self._stub.WatchConfigs(WatchConfigsRequest(), timeout=_WATCH_SECONDS)
        try:
            with typed_errors():
                await call.initial_metadata()
                # From here on nothing is missed, and until here anything may have been.
                self._policies.clear()
                self._watch_count += 1
                self.is_watching = True
                async for told in call:
                    self._hear(MerchantId.parse(told.merchant_id), told.version)
        except DeadlineExceeded:
            return True
        except SwitchyardError as error:
            _log.warning("policies are not being watched, trying again: %s", error)
            return False
        finally:
            self.is_watching = False
            self._policies.clear()
            call.cancel()
        return True

    def _hear(self, merchant_id: MerchantId, version: int) -> None:
        self._policies.pop(merchant_id, None)
        self._told[merchant_id] = max(version, self._told.get(merchant_id, 0))
        self._told.move_to_end(merchant_id)
        _bound(self._told)

    async def _read(self, merchant_id: MerchantId) -> Policy:
        try:
            with typed_errors():
                response = await self._stub.GetConfig(
                    GetConfigRequest(merchant_id=merchant_id), timeout=_POLICY_SECONDS
                )
        except NotFound:
            return Policy()
        except DeadlineExceeded as error:
            # Nothing was done that could be in doubt.
            raise Unavailable(
                f"the policy could not be read in time: {error}", retry_after=_RETRY_AFTER
            ) from error
        return policy_from_message(response.config)


def _bound(cache: "OrderedDict[MerchantId, _Value]") -> None:
    if len(cache) > _POLICIES_MAX:
        cache.popitem(last=False)
