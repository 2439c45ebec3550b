"""What limits leave is drawn by many at once, in two processes, and never more than that."""

import asyncio

from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb

from services.kernel.errors import Reason
from services.runtime.rpc import error_from_rpc
from tests.orchestrator.conftest import running_house, simulated
from tests.orchestrator.orders import execution, wanted
from tests.orchestrator.policies import attempts, velocity

ALL = config_pb.VELOCITY_SCOPE_MERCHANT


async def test_of_a_hundred_at_once_in_two_processes_exactly_five_get_through(
    application_url: str,
) -> None:
    async with (
        running_house(application_url, simulated()) as first,
        running_house(application_url, simulated()) as second,
    ):
        orders = [
            house.execute(execution(f"order-{number}", user_id="ada"))
            for number in range(100)
            for house in [(first, second)[number % 2]]
        ]
        answers = await asyncio.gather(*orders, return_exceptions=True)
        refusals = [error_from_rpc(each) for each in answers if isinstance(each, Exception)]  # type: ignore[arg-type]  # no other error is expected
        assert len(refusals) == 95
        assert {refusal.reason for refusal in refusals} == {Reason.RATE_LIMITED}
        assert await first.count("payments") == await first.count("idempotency") == 5
        (row,) = await first.rows(
            "select jsonb_array_length(entries) as drawn from payments.quotas"
        )
        assert row["drawn"] <= 5


async def test_what_one_process_draws_the_other_sees_wave_after_wave(application_url: str) -> None:
    limits = config_pb.AttemptLimits(per_user=attempts(100))
    settings = config_pb.MerchantSettings(attempt_limits=limits)
    async with (
        running_house(application_url, simulated()) as first,
        running_house(application_url, simulated()) as second,
    ):
        for house in (first, second):
            await house.configure(settings)
        for wave in range(15):
            orders = [
                house.stub.CreatePayment(wanted(f"{wave} {number}", user_id="ada"))
                for number in range(10)
                for house in [(first, second)[number % 2]]
            ]
            await asyncio.gather(*orders, return_exceptions=True)
        assert await first.count("payments") == 100


async def test_many_users_at_once_in_two_processes_each_get_their_five(
    application_url: str,
) -> None:
    async with (
        running_house(application_url, simulated()) as first,
        running_house(application_url, simulated()) as second,
    ):
        orders = [
            house.stub.CreatePayment(wanted(f"{user} {number}", user_id=user))
            for number in range(14)
            for user in ("ada", "bob", "eve", "joe", "kim", "lea", "mia")
            for house in [(first, second)[number % 2]]
        ]
        answers = await asyncio.gather(*orders, return_exceptions=True)
        assert sum(isinstance(each, pb.CreatePaymentResponse) for each in answers) == 35
        rows = await first.rows("select user_id, count(*) from payments.payments group by 1")
        assert {row["count"] for row in rows} == {5}
        assert len(rows) == 7


async def test_money_of_many_at_once_never_exceeds_what_is_allowed(application_url: str) -> None:
    settings = config_pb.MerchantSettings(velocity_limits=[velocity(ALL, max_minor=10_000)])
    async with (
        running_house(application_url, simulated()) as first,
        running_house(application_url, simulated()) as second,
    ):
        for house in (first, second):
            await house.configure(settings)
        orders = [
            house.execute(execution(f"order-{number}", amount_minor=700 + number))
            for number in range(60)
            for house in [(first, second)[number % 2]]
        ]
        await asyncio.gather(*orders, return_exceptions=True)
        (row,) = await first.rows("select sum(amount)::bigint as paid from payments.payments")
        # What is left is less than the largest of them.
        assert 10_000 - 760 < row["paid"] <= 10_000
