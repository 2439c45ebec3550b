"""A payment from beginning to end, with the whole platform inside this program.

Run it from a checkout: `python examples/library.py`. It needs nothing and leaves nothing behind:
its database is started in a folder that goes when the program ends.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc.aio import Channel
from payments.access.v1.access_service_pb2 import CreateMerchantRequest
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.config.v1.merchant_config_pb2 import (
    FeeSchedule,
    MerchantSettings,
    ProcessorPreference,
)
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD, PaymentInstrument
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_MANUAL,
    SPLIT_POLICY_ALL_OR_NOTHING,
)
from payments.ledger.v1.ledger_service_pb2 import ListTransactionsRequest
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    CapturePaymentRequest,
    ExecutePlanRequest,
    RefundPaymentRequest,
    WatchPaymentRequest,
)
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from services.kernel.ids import RequestId
from services.runtime.rpc import typed_errors
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_logging
from services.system import open_system


def usd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="USD")


async def open_shop(channel: Channel) -> str:
    """A merchant, and how it is paid: by the simulated processor, captured when it says so."""
    made = await AccessServiceStub(channel).CreateMerchant(
        CreateMerchantRequest(idempotency_key="opening day", name="Corner shop")
    )
    settings = MerchantSettings(
        default_currency="USD",
        fees=FeeSchedule(basis_points=290, fixed=[usd(30)]),
        capture_method=CAPTURE_METHOD_MANUAL,
        split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
        processors=[ProcessorPreference(processor_id="simulated")],
    )
    await MerchantConfigServiceStub(channel).PutConfig(
        PutConfigRequest(
            idempotency_key="opening day", merchant_id=made.merchant.id, settings=settings
        )
    )
    return made.merchant.id


async def hold(channel: Channel, merchant_id: str) -> Payment:
    """Plan a payment of 100.00 USD, see why it goes where it goes, and have it authorized."""
    wish = CoreRequestContext(
        request_id=RequestId.new(),
        merchant_id=merchant_id,
        idempotency_key="order-17",
        amount=usd(10_000),
        instrument=PaymentInstrument(method=PAYMENT_METHOD_CARD, token="pm_card_visa"),  # noqa: S106 -- a test card's name
    )
    wish.received_at.FromDatetime(datetime.now(UTC))
    plan = (await PlanBuilderServiceStub(channel).BuildPlan(BuildPlanRequest(context=wish))).plan
    for decision in plan.steps[0].decisions:
        print(f"planned: {decision.processor_id}, {decision.message} ({decision.rule})")
    order = ExecutePlanRequest(idempotency_key=wish.idempotency_key, context=wish, plan=plan)
    return (await OrchestratorServiceStub(channel).ExecutePlan(order)).payment


async def take_and_return(channel: Channel, held: Payment) -> None:
    """Capture 80.00 USD of it, and give 20.00 USD of that back."""
    orchestrator = OrchestratorServiceStub(channel)
    captured = await orchestrator.CapturePayment(
        CapturePaymentRequest(
            idempotency_key="order-17:capture",
            merchant_id=held.merchant_id,
            payment_id=held.id,
            amount=usd(8_000),
        )
    )
    print(f"{state(captured.payment)}: {captured.payment.amount_captured.amount_minor} cents")
    refunded = await orchestrator.RefundPayment(
        RefundPaymentRequest(
            idempotency_key="order-17:refund",
            merchant_id=held.merchant_id,
            payment_id=held.id,
            amount=usd(2_000),
        )
    )
    print(f"given back: {refunded.refund.amount.amount_minor} cents")


async def read_books(channel: Channel, held: Payment) -> None:
    """Wait until nothing more is to come, and show what the ledger has of it."""
    watch = WatchPaymentRequest(merchant_id=held.merchant_id, payment_id=held.id)
    async for _ in OrchestratorServiceStub(channel).WatchPayment(watch):
        pass
    listed = await LedgerServiceStub(channel).ListTransactions(
        ListTransactionsRequest(reference_id=held.id)
    )
    for transaction in listed.transactions:
        legs = ", ".join(f"{e.account} {e.amount.amount_minor:+}" for e in transaction.entries)
        print(f"booked: {legs}".replace(held.merchant_id, "mer_…"))


def state(payment: Payment) -> str:
    return PaymentState.Name(payment.state).removeprefix("PAYMENT_STATE_").lower()


async def main(home: Path) -> None:
    """Open the platform, use it, and close it."""
    async with open_system(load_settings(switchyard_home=home)) as system:
        merchant_id = await open_shop(system.channel)
        # Refusals are raised as the errors of services.kernel.errors, with a reason.
        with typed_errors():
            held = await hold(system.channel, merchant_id)
            print(f"{state(held)}: {held.amount.amount_minor} cents")
            await take_and_return(system.channel, held)
            await read_books(system.channel, held)
    print("closed")


if __name__ == "__main__":
    configure_logging("shop", level="error")
    with TemporaryDirectory(prefix="shop-") as folder:
        asyncio.run(main(Path(folder)))
