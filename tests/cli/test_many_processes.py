"""The same services in one process or in many: only where they are differs."""

import asyncio
from pathlib import Path

import pytest
from grpc.aio import Channel
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD
from payments.core.v1.payment_terms_pb2 import CAPTURE_METHOD_AUTOMATIC, SPLIT_POLICY_ALL_OR_NOTHING
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    RESPONSE_MODE_WAIT,
    ExecutePlanRequest,
    GetPaymentRequest,
)
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from bench.payments.shop import open_shop, planned
from services.kernel.errors import NotFound, SwitchyardError
from services.kernel.ids import MerchantId
from services.runtime.rpc import connect, typed_errors
from services.runtime.run_file import RunFile
from tests.cli.conftest import run_cli, serving
from tests.conftest import DatabaseUrls

_TOKEN = "a-token-that-the-processes-share-0123456789"  # noqa: S105 -- of these processes alone


async def test_a_service_calls_another_in_another_process(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    shared = {"DATABASE_URL": database_urls.application, "GRPC_TOKEN": _TOKEN}
    one, other = short_tmp_path / "one", short_tmp_path / "other"
    with serving(one, "processor", "merchant_config", **shared):
        address = RunFile.read(one).grpc_address
        where = f"processor={address},merchant_config={address}"
        with serving(other, "plan_builder", **shared, SERVICE_ADDRESSES=where):
            async with _channel(other) as channel:
                refusal = await _refusal_of_a_plan(channel)
    # It came from the other process: the merchant has no configuration there.
    assert isinstance(refusal, NotFound)


async def test_a_payment_goes_through_services_of_three_processes(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    shared = {"DATABASE_URL": database_urls.application, "GRPC_TOKEN": _TOKEN}
    planning, ledger, paying = (short_tmp_path / name for name in ("planning", "ledger", "paying"))
    merchant_id = MerchantId.new()
    names = ("processor", "merchant_config", "plan_builder", "router")
    with serving(planning, *names, **shared), serving(ledger, "ledger", **shared):
        services = {name: RunFile.read(planning).grpc_address for name in names}
        services["ledger"] = RunFile.read(ledger).grpc_address
        where = ",".join(f"{name}={address}" for name, address in services.items())
        with serving(paying, "orchestrator", **shared, SERVICE_ADDRESSES=where):
            async with _channel(planning) as channel:
                await open_shop(channel, merchant_id)
                order = await planned(channel, merchant_id)
            order.idempotency_key = order.context.idempotency_key
            order.response_mode = RESPONSE_MODE_WAIT
            async with _channel(paying) as channel:
                payment = await _booked(OrchestratorServiceStub(channel), order)
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED


async def _booked(orchestrator: OrchestratorServiceStub, order: ExecutePlanRequest) -> Payment:
    """The payment as soon as the ledger has it."""
    payment = (await orchestrator.ExecutePlan(order)).payment
    async with asyncio.timeout(60):
        while payment.posting_state != PostingState.POSTING_STATE_POSTED:
            await asyncio.sleep(0.02)
            request = GetPaymentRequest(payment_id=payment.id)
            payment = (await orchestrator.GetPayment(request)).payment
    return payment


async def test_all_services_answer_in_one_process(home: Path) -> None:
    async with _channel(home) as channel:
        assert isinstance(await _refusal_of_a_plan(channel), NotFound)
        request = GetConfigRequest(merchant_id=MerchantId.new())
        with pytest.raises(NotFound), typed_errors():
            await MerchantConfigServiceStub(channel).GetConfig(request)


def test_a_service_that_is_nowhere_stops_the_start(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    finished = run_cli(
        "serve", "plan_builder", "--home", str(short_tmp_path), "--grpc-port", "0",
        DATABASE_URL=database_urls.application,
    )  # fmt: skip
    assert finished.returncode == 1
    assert "merchant_config is needed and not served here" in finished.stderr


def _channel(home: Path) -> Channel:
    run = RunFile.read(home)
    return connect(run.grpc_address, token=run.grpc_token)


async def _refusal_of_a_plan(channel: Channel) -> SwitchyardError:
    request = BuildPlanRequest()
    request.context.merchant_id = MerchantId.new()
    request.context.request_id = "req_019aa5a0000070008000000000000000"
    request.context.idempotency_key = "order 1"
    request.context.amount.amount_minor, request.context.amount.currency = 1000, "USD"
    request.context.instrument.method = PAYMENT_METHOD_CARD
    request.context.capture_method = CAPTURE_METHOD_AUTOMATIC
    request.context.split_policy = SPLIT_POLICY_ALL_OR_NOTHING
    with pytest.raises(SwitchyardError) as refusal, typed_errors():
        await PlanBuilderServiceStub(channel).BuildPlan(request)
    return refusal.value
