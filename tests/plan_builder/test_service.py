"""BuildPlan as its callers see it, with configurations that change meanwhile."""

import asyncio
import time
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.plan.v1.payment_plan_pb2 import PaymentPlan
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.processor.v1.processor_pb2 import ProcessorState

from services.kernel.errors import FailedPrecondition, InvalidArgument, NotFound, Reason
from services.kernel.ids import MerchantId
from services.runtime.rpc import typed_errors
from tests.merchant_config.settings import MERCHANT, put, sound
from tests.plan_builder.conftest import PlannerUnderTest

_CONTEXT = {
    "request_id": "req_019aa5a0000070008000000000000002",
    "merchant_id": MERCHANT,
    "idempotency_key": "order-17",
    "amount": {"amount_minor": 5000, "currency": "USD"},
    "instrument": {"method": "PAYMENT_METHOD_CARD", "token": "pm_card_visa"},
    "received_at": "2026-01-02T03:04:05Z",
}


def _request(config_version: int = 0, **changed: object) -> BuildPlanRequest:
    fields = {name: value for name, value in {**_CONTEXT, **changed}.items() if value is not None}
    context = ParseDict(fields, CoreRequestContext())
    return BuildPlanRequest(context=context, config_version=config_version)


async def _plan(planner: PlannerUnderTest, request: BuildPlanRequest) -> PaymentPlan:
    with typed_errors():
        return (await planner.stub.BuildPlan(request)).plan


async def test_a_plan_says_what_is_to_be_done_and_why(planner: PlannerUnderTest) -> None:
    await planner.configs.PutConfig(put())
    plan = await _plan(planner, _request())
    assert (plan.merchant_id, plan.config_version) == (MERCHANT, 1)
    assert plan.total.amount_minor == 5000
    assert plan.platform_fee.amount_minor == 175
    (step,) = plan.steps
    assert step.instrument == _request().context.instrument
    assert [candidate.processor_id for candidate in step.candidates] == ["stripe", "cards_only"]
    assert step.candidates[0].timeout.seconds == 8
    assert step.timeout.seconds == 20
    assert step.retry_policy.max_tries == 3
    assert [(d.processor_id, d.rule) for d in step.decisions] == [
        ("stripe", "order"),
        ("cards_only", "order"),
        ("stripe_eu", "currency.unsupported"),
    ]
    assert (await _plan(planner, _request())).SerializeToString() == plan.SerializeToString()


async def test_a_change_is_seen_within_a_second_and_read_once(planner: PlannerUnderTest) -> None:
    await planner.configs.PutConfig(put())
    assert (await _plan(planner, _request())).config_version == 1
    await planner.configs.PutConfig(put(sound(step_timeout="9s"), expected_version=1, key="k2"))
    changed_at = time.monotonic()
    while (await _plan(planner, _request())).config_version == 1:
        assert time.monotonic() - changed_at < 1
        await asyncio.sleep(0.01)
    for _ in range(20):
        assert (await _plan(planner, _request())).steps[0].timeout.seconds == 9
    # The first is read as the newest, or by its number where the watch has told of it already.
    assert planner.asked_for in ([0, 2], [1, 2])


async def test_a_plan_can_be_made_from_an_earlier_version(planner: PlannerUnderTest) -> None:
    await planner.configs.PutConfig(put())
    await planner.configs.PutConfig(put(sound(step_timeout="9s"), expected_version=1, key="k2"))
    assert (await _plan(planner, _request(config_version=1))).steps[0].timeout.seconds == 20


async def test_a_version_that_nobody_made_is_not_found(planner: PlannerUnderTest) -> None:
    await planner.configs.PutConfig(put())
    for request in (
        _request(config_version=7),
        _request(merchant_id=MerchantId.new()),
    ):
        with pytest.raises(NotFound) as refusal:
            await _plan(planner, request)
        assert refusal.value.reason is Reason.CONFIG_VERSION_NOT_FOUND


async def test_a_processor_that_begins_to_drain_gets_no_more_plans(
    planner: PlannerUnderTest,
) -> None:
    await planner.configs.PutConfig(put())
    planner.processors.processors[0].state = ProcessorState.PROCESSOR_STATE_DRAINING
    (step,) = (await _plan(planner, _request())).steps
    assert [candidate.processor_id for candidate in step.candidates] == ["cards_only"]
    assert ("stripe", "processor.draining") in [(d.processor_id, d.rule) for d in step.decisions]


async def test_when_no_candidate_is_left_the_caller_hears_of_every_rejection(
    planner: PlannerUnderTest,
) -> None:
    await planner.configs.PutConfig(put())
    for processor in planner.processors.processors:
        processor.currencies[:] = ["EUR"]
    with pytest.raises(FailedPrecondition) as refusal:
        await _plan(planner, _request())
    assert refusal.value.reason is Reason.NO_CANDIDATE
    assert {(v.field, v.rule) for v in refusal.value.violations} == {
        (f"payment.candidates[{processor_id}]", "currency.unsupported")
        for processor_id in ("stripe", "stripe_eu", "cards_only")
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"instrument": {"token": "pm_card_visa"}}, Reason.METHOD_UNKNOWN),
        ({"steps": [{"instrument": {}}]}, Reason.METHOD_UNKNOWN),
        (
            {"instrument": {"method": "PAYMENT_METHOD_CARD", "token": "4242424242424242"}},
            Reason.CARD_NUMBER_PRESENT,
        ),
        ({"amount": {"amount_minor": 5, "currency": "XYZ"}}, Reason.CURRENCY_UNKNOWN),
        ({"amount": {"amount_minor": 0, "currency": "USD"}}, Reason.INVALID_ARGUMENT),
        ({"amount": None}, Reason.CURRENCY_UNKNOWN),
        ({"merchant_id": "mer_1"}, Reason.ID_MALFORMED),
        ({"idempotency_key": None}, Reason.INVALID_ARGUMENT),
        ({"country": "Germany"}, Reason.INVALID_ARGUMENT),
        (
            {
                "steps": [
                    {
                        "instrument": {"method": "PAYMENT_METHOD_CARD"},
                        "max_amount": {"amount_minor": 5, "currency": "EUR"},
                    }
                ]
            },
            Reason.INVALID_ARGUMENT,
        ),
    ],
)
async def test_a_request_that_is_not_strict_is_refused(
    planner: PlannerUnderTest, changed: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await _plan(planner, _request(**changed))
    assert refusal.value.reason is reason
    assert refusal.value.violations
