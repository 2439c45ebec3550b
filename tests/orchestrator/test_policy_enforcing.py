"""Payments held to their merchant's policy, through the real store."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_APPLE_PAY
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState

from services.kernel.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    SwitchyardError,
    Unavailable,
)
from services.kernel.ids import ApiKeyId, MerchantId
from services.orchestrator.store.policy import QuotaRows
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House
from tests.orchestrator.orders import about, execution, usd, wanted
from tests.orchestrator.policies import attempts, velocity

USER = config_pb.VELOCITY_SCOPE_USER
ALL = config_pb.VELOCITY_SCOPE_MERCHANT
_TABLES = ("payments", "idempotency", "attempts", "transitions", "plans")


async def _refused(call: Awaitable[Any]) -> SwitchyardError:
    with pytest.raises(SwitchyardError) as refused, typed_errors():
        await call
    return refused.value


async def _count(house: House) -> list[int]:
    return [await house.count(table) for table in _TABLES]


async def _used_up(house: House, **said: Any) -> None:
    for number in range(5):
        await house.execute(execution(f"key-{number}", **{"user_id": "ada", **said}))


async def test_a_sixth_attempt_within_an_hour_is_refused_and_writes_nothing(house: House) -> None:
    await _used_up(house)
    before = await _count(house)
    calls = list(house.calls)
    refused = await _refused(house.execute(execution("key-6", user_id="ada")))
    assert isinstance(refused, ResourceExhausted)
    assert refused.reason is Reason.RATE_LIMITED
    assert refused.details["rule"] == "attempts.per_user"
    assert refused.retry_after is not None
    assert timedelta(minutes=58) < refused.retry_after <= timedelta(hours=1)
    assert await _count(house) == before
    assert house.calls == calls
    # The key was not taken: the same call goes through once there is room.
    await house.configure(
        config_pb.MerchantSettings(attempt_limits=config_pb.AttemptLimits(per_user=attempts(6)))
    )
    assert (await house.execute(execution("key-6", user_id="ada"))).id


async def test_declines_count_and_repeats_do_not(house: House) -> None:
    card = "pm_card_chargeDeclined"
    await _used_up(house, card=card)
    for number in range(5):
        answer = await house.stub.ExecutePlan(execution(f"key-{number}", user_id="ada", card=card))
        assert answer.replayed
        assert answer.payment.state == PaymentState.PAYMENT_STATE_FAILED
    refused = await _refused(house.execute(execution("key-6", user_id="ada", card=card)))
    assert refused.reason is Reason.RATE_LIMITED


async def test_another_user_and_the_same_user_elsewhere_have_attempts_of_their_own(
    house: House,
) -> None:
    await _used_up(house)
    await house.execute(execution("bob", user_id="bob"))
    elsewhere = execution("elsewhere", user_id="ada")
    elsewhere.context.merchant_id = elsewhere.plan.merchant_id = MerchantId.new()
    await house.execute(elsewhere)
    await house.execute(execution("nobody"))


async def test_creating_and_confirming_are_two_attempts(house: House) -> None:
    for number in range(2):
        made = await house.stub.CreatePayment(wanted(f"made-{number}", user_id="ada"))
        confirm = pb.ConfirmPaymentRequest(**about(made.payment, f"confirmed-{number}"))
        confirmed = await house.stub.ConfirmPayment(confirm, timeout=60)
        assert confirmed.payment.state == PaymentState.PAYMENT_STATE_CAPTURED
        assert (await house.stub.ConfirmPayment(confirm, timeout=60)).replayed
    made = await house.stub.CreatePayment(wanted("made-5", user_id="ada"))
    confirm = pb.ConfirmPaymentRequest(**about(made.payment, "confirmed-5"))
    assert (await _refused(house.stub.ConfirmPayment(confirm))).reason is Reason.RATE_LIMITED
    payment = await house.get(made.payment.id)
    assert payment.state == PaymentState.PAYMENT_STATE_CREATED
    assert payment.version == made.payment.version
    refused = await _refused(house.stub.CreatePayment(wanted("made-6", user_id="ada")))
    assert refused.reason is Reason.RATE_LIMITED


async def test_without_a_user_the_api_key_counts_if_it_has_a_limit(house: House) -> None:
    one, other = ApiKeyId.new(), ApiKeyId.new()
    for number in range(6):
        await house.execute(execution(f"free-{number}", api_key_id=one))
    assert await house.count("quotas") == 0
    limits = config_pb.AttemptLimits(per_api_key=attempts(2))
    await house.configure(config_pb.MerchantSettings(attempt_limits=limits))
    for number in range(2):
        await house.execute(execution(f"bound-{number}", api_key_id=one))
    refused = await _refused(house.execute(execution("bound-3", api_key_id=one)))
    assert refused.details["rule"] == "attempts.per_api_key"
    await house.execute(execution("other", api_key_id=other))
    await house.execute(execution("ada", api_key_id=one, user_id="ada"))


async def test_who_waits_as_long_as_told_gets_through(house: House) -> None:
    limits = config_pb.AttemptLimits(per_user=attempts(2, timedelta(seconds=1.5)))
    await house.configure(config_pb.MerchantSettings(attempt_limits=limits))
    for number in range(2):
        await house.stub.CreatePayment(wanted(f"key-{number}", user_id="ada"))
    refused = await _refused(house.stub.CreatePayment(wanted("key-3", user_id="ada")))
    assert refused.retry_after is not None
    assert timedelta(0) < refused.retry_after <= timedelta(seconds=1.5)
    await asyncio.sleep(refused.retry_after.total_seconds())
    await house.stub.CreatePayment(wanted("key-3", user_id="ada"))


async def test_money_is_bounded_by_user_and_by_merchant(house: House) -> None:
    limits = [velocity(USER, max_minor=25_000), velocity(ALL, max_count=3)]
    await house.configure(config_pb.MerchantSettings(velocity_limits=limits))
    await house.execute(execution("a-1", user_id="ada"))
    await house.execute(execution("a-2", user_id="ada"))
    refused = await _refused(house.execute(execution("a-3", user_id="ada")))
    assert refused.reason is Reason.RATE_LIMITED
    assert refused.details["rule"] == "velocity.user.3600s.USD"
    assert refused.details["max_amount_minor"] == "25000"
    await house.execute(execution("a-4", user_id="ada", amount_minor=5_000))
    refused = await _refused(house.execute(execution("b-1", user_id="bob")))
    assert refused.details["rule"] == "velocity.merchant.3600s"
    assert await house.count("payments") == 3


async def test_a_payment_that_is_only_wanted_moves_no_money_and_draws_none(house: House) -> None:
    limits = [velocity(ALL, max_count=1)]
    await house.configure(config_pb.MerchantSettings(velocity_limits=limits))
    made = [await house.stub.CreatePayment(wanted(f"made-{number}")) for number in range(3)]
    first = pb.ConfirmPaymentRequest(**about(made[0].payment, "first"))
    assert (await house.stub.ConfirmPayment(first, timeout=60)).payment.id
    second = pb.ConfirmPaymentRequest(**about(made[1].payment, "second"))
    refused = await _refused(house.stub.ConfirmPayment(second))
    assert refused.details["rule"] == "velocity.merchant.3600s"


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (
            config_pb.MerchantSettings(allowed_methods=[PAYMENT_METHOD_APPLE_PAY]),
            "methods.allowed",
        ),
        (
            config_pb.MerchantSettings(
                amount_limits=[config_pb.AmountLimit(max_amount=usd(9_999))]
            ),
            "limits.max_amount",
        ),
    ],
)
async def test_what_is_forbidden_is_refused_before_anything_is_written_but_repeats_are_answered(
    house: House, settings: config_pb.MerchantSettings, rule: str
) -> None:
    first = await house.execute(execution("first"))
    await house.configure(settings)
    before = await _count(house)
    for call in (
        house.execute(execution("second")),
        house.stub.CreatePayment(wanted("third")),
    ):
        refused = await _refused(call)
        assert isinstance(refused, FailedPrecondition)
        assert refused.reason is Reason.POLICY_VIOLATED
        assert [each.rule for each in refused.violations] == [rule]
    assert await _count(house) == before
    again = await house.stub.ExecutePlan(execution("first"))
    assert again.replayed
    assert again.payment == first
    other_body = await _refused(house.execute(execution("first", amount_minor=10_001)))
    assert other_body.reason is Reason.IDEMPOTENCY_KEY_REUSED


async def test_more_than_can_be_booked_is_refused(house: House) -> None:
    for call in (
        house.execute(execution(amount_minor=10**15 + 1)),
        house.stub.CreatePayment(wanted("made", amount_minor=10**15 + 1)),
    ):
        refused = await _refused(call)
        assert isinstance(refused, InvalidArgument)
        assert refused.reason is Reason.AMOUNT_INVALID
    assert await house.count("payments") == 0


async def test_without_a_policy_to_read_nothing_begins_and_repeats_are_answered(
    house: House,
) -> None:
    first = await house.execute(execution("first"))
    house.configs.is_away = True
    elsewhere = execution("elsewhere")
    elsewhere.context.merchant_id = elsewhere.plan.merchant_id = MerchantId.new()
    assert isinstance(await _refused(house.execute(elsewhere)), Unavailable)
    assert await house.count("payments") == 1
    house.policies._policies.clear()
    assert (await house.stub.ExecutePlan(execution("first"))).payment == first


async def test_what_is_over_is_forgotten_and_what_is_not_is_kept(house: House) -> None:
    limits = config_pb.AttemptLimits(per_user=attempts(5, timedelta(milliseconds=1)))
    await house.configure(config_pb.MerchantSettings(attempt_limits=limits))
    await house.stub.CreatePayment(wanted("brief", user_id="ada"))
    await house.configure(config_pb.MerchantSettings())
    await house.stub.CreatePayment(wanted("long", user_id="bob"))
    await asyncio.sleep(0.01)
    assert await QuotaRows(house.database).forget_some() is False
    rows = await house.rows("select subject from payments.quotas")
    assert [row["subject"] for row in rows] == ["bob"]
    await house.stub.CreatePayment(wanted("again", user_id="ada"))


async def test_a_policy_is_read_once_and_again_when_it_changes(house: House) -> None:
    for number in range(5):
        await house.execute(execution(f"key-{number}"))
    assert house.configs.read_count == 1
    await house.configure(config_pb.MerchantSettings())
    read = house.configs.read_count
    await house.execute(execution("after"))
    assert house.configs.read_count == read


async def test_a_confirmation_of_nothing_is_not_counted(house: House) -> None:
    made = await house.stub.CreatePayment(wanted("made", user_id="ada"))
    confirm = pb.ConfirmPaymentRequest(**about(made.payment, "confirmed"))
    confirm.merchant_id = MerchantId.new()
    assert isinstance(await _refused(house.stub.ConfirmPayment(confirm)), NotFound)
    (row,) = await house.rows("select entries::text as entries from payments.quotas")
    assert row["entries"].count("[") == 2
