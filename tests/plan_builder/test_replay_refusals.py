"""What ReplayPlans refuses to begin with, and how it says so."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.plan.v1.plan_builder_service_pb2 import ReplayPlansRequest

from services.kernel.errors import InvalidArgument, Reason, Unavailable
from services.kernel.ids import MerchantId
from services.runtime.rpc import typed_errors
from tests.merchant_config.settings import MERCHANT, put, sound
from tests.plan_builder.conftest import PlannerUnderTest


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"last_count": -1}, "last_count"),
        ({"last_count": 100_001}, "last_count"),
        ({"config_version": -1}, "config_version"),
        ({"received_from": Timestamp(seconds=10**15)}, "received_from"),
    ],
)
async def test_what_cannot_be_replayed_names_the_field(
    planner: PlannerUnderTest, wanted: dict[str, Any], field: str
) -> None:
    request = ReplayPlansRequest(merchant_id=MerchantId.new(), **wanted)
    assert [v.field for v in (await _refusal(planner, request)).violations] == [field]


async def test_a_replay_without_a_merchant_is_refused(planner: PlannerUnderTest) -> None:
    assert (await _refusal(planner, ReplayPlansRequest())).reason is Reason.ID_MALFORMED


async def test_a_proposal_is_judged_as_if_it_were_put(planner: PlannerUnderTest) -> None:
    await planner.configs.PutConfig(put())
    broken = sound(default_currency="XYZ", step_timeout="-1s")
    request = ReplayPlansRequest(merchant_id=MERCHANT, proposal=broken)
    told = await _refusal(planner, request)
    with pytest.raises(InvalidArgument) as put_refusal, typed_errors():
        await planner.configs.PutConfig(put(broken, expected_version=1, key="k2"))
    assert told.violations == put_refusal.value.violations
    assert {v.field for v in told.violations} == {"default_currency", "step_timeout"}


async def test_a_plan_builder_that_knows_no_orchestrator_says_so(planner: PlannerUnderTest) -> None:
    await planner.configs.PutConfig(put())
    with pytest.raises(Unavailable, match="SERVICE_ADDRESSES=orchestrator"):
        await _hear(planner, ReplayPlansRequest(merchant_id=MERCHANT))


async def _refusal(planner: PlannerUnderTest, request: ReplayPlansRequest) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as refusal:
        await _hear(planner, request)
    return refusal.value


async def _hear(planner: PlannerUnderTest, request: ReplayPlansRequest) -> None:
    with typed_errors():
        async for _ in planner.stub.ReplayPlans(request):
            pass
