"""The clock: it can be set, moved and stopped, and what time does happens by it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.server import Options, Sandbox
from tests.sandbox.conftest import Control
from tests.sandbox.test_refunds import paid

DAY_SECONDS = 24 * 3600


async def test_clock_starts_at_the_present_and_moves(control: Control) -> None:
    assert abs((await control.get("clock"))["now"] - time.time()) < 60
    moved = await control.post("clock", advance_seconds=1000)
    assert 1000 <= moved["now"] - int(time.time()) <= 1060


async def test_clock_can_stand_still_at_any_moment(api: Any, control: Control) -> None:
    stopped = await control.post("clock", now=1_900_000_000, frozen=True)
    assert stopped == {"now": 1_900_000_000, "frozen": True}
    intent = await api.payment_intents.create_async({"amount": 1000, "currency": "usd"})
    assert intent.created == 1_900_000_000
    moved = await control.post("clock", advance_seconds=5)
    assert moved == {"now": 1_900_000_005, "frozen": True}
    thawed = await control.post("clock", frozen=False)
    assert 0 <= thawed["now"] - 1_900_000_005 < 60
    assert not thawed["frozen"]


async def test_uncaptured_hold_expires_after_seven_days(api: Any, control: Control) -> None:
    held = await paid(api, capture_method="manual", expand=["latest_charge"])
    card = held.latest_charge.payment_method_details.card
    assert card.capture_before == held.latest_charge.created + 7 * DAY_SECONDS
    await control.post("clock", advance_seconds=7 * DAY_SECONDS - 60)
    still = await api.payment_intents.retrieve_async(held.id)
    assert still.status == "requires_capture"
    await control.post("clock", advance_seconds=120)
    expired = await api.payment_intents.retrieve_async(held.id, {"expand": ["latest_charge"]})
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert expired.canceled_at == card.capture_before
    assert expired.latest_charge.amount_refunded == 1000
    types = [event.type for event in (await api.events.list_async({"limit": 2})).data]
    assert types == ["payment_intent.canceled", "charge.expired"]
    with pytest.raises(stripe.InvalidRequestError):
        await api.payment_intents.capture_async(held.id)


async def test_captured_hold_does_not_expire(api: Any, control: Control) -> None:
    held = await paid(api, capture_method="manual")
    await api.payment_intents.capture_async(held.id)
    await control.post("clock", advance_seconds=8 * DAY_SECONDS)
    assert (await api.payment_intents.retrieve_async(held.id)).status == "succeeded"


async def test_clock_is_kept_over_a_restart(tmp_path: Path) -> None:
    options = Options(data=tmp_path / "s", port=0)
    sandbox = await Sandbox.start(options)
    sandbox.clock.set_to(1_900_000_000)
    sandbox.clock.freeze()
    sandbox.save_clock()
    await sandbox.close()
    again = await Sandbox.start(options)
    assert again.clock.now() in (1_900_000_000, 1_900_000_001)
    await again.close()


async def test_orders_that_make_no_sense(control: Control) -> None:
    for body in (b'{"hour": 5}', b'{"now": "late"}', b"not json"):
        answer = await control.http.post("/_sandbox/clock", content=body)
        assert answer.status_code == 400
    assert (await control.http.get("/_sandbox/weather")).status_code == 404
