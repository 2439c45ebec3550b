"""The merchant whose payments are measured: everything by card, at the processor `simulated`."""

from typing import Final

from grpc.aio import Channel
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.config.v1.routing_rule_pb2 import RouteMatch, RouteTarget, RoutingRule
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD, PaymentInstrument
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)
from payments.orchestrator.v1.orchestrator_service_pb2 import ExecutePlanRequest
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from services.kernel.ids import RequestId

_PROCESSOR: Final = "simulated"
_CARD: Final = PaymentInstrument(method=PAYMENT_METHOD_CARD, token="pm_card_visa")  # noqa: S106 -- a test card's name
_SETTINGS: Final = config_pb.MerchantSettings(
    default_currency="USD",
    fees=config_pb.FeeSchedule(basis_points=290, fixed=[Money(amount_minor=30, currency="USD")]),
    capture_method=CAPTURE_METHOD_AUTOMATIC,
    split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
    processors=[config_pb.ProcessorPreference(processor_id=_PROCESSOR)],
    routing_rules=[
        RoutingRule(
            name="cards-at-home",
            match=RouteMatch(methods=[PAYMENT_METHOD_CARD], countries=["US"]),
            targets=[RouteTarget(processor_id=_PROCESSOR)],
        )
    ],
)


async def open_shop(channel: Channel, merchant_id: str) -> None:
    """Say how a merchant is paid."""
    await MerchantConfigServiceStub(channel).PutConfig(
        PutConfigRequest(
            idempotency_key="opening day", merchant_id=merchant_id, settings=_SETTINGS
        ),
        timeout=30,
    )


async def planned(channel: Channel, merchant_id: str) -> ExecutePlanRequest:
    """A payment of 100.00 USD as it is asked for once it is planned."""
    wish = CoreRequestContext(
        request_id=RequestId.new(),
        merchant_id=merchant_id,
        idempotency_key="order-17",
        amount=Money(amount_minor=10_000, currency="USD"),
        instrument=_CARD,
        country="US",
    )
    built = await PlanBuilderServiceStub(channel).BuildPlan(BuildPlanRequest(context=wish))
    return ExecutePlanRequest(context=wish, plan=built.plan)
