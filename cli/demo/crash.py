"""A crash in the middle of a payment: the processor has the money, and the platform is gone."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from cli.demo.platform import LEASE_SECONDS
from cli.demo.scene import Scene, StepFailed
from cli.demo.shop import Told, card_order
from cli.demo.stage import Stage

_CUSTOMER = "crash-test"
_ORDER = card_order(7300, user_id=_CUSTOMER)
_KEY = "order-23"


def crash(stage: Stage) -> str:
    """kill -9 while the processor's answer is on its way, and what is made of that; the payment."""
    with stage.screen.scene(
        "A crash",
        "The card is charged, the answer is on its way, and the platform is killed (kill -9).",
    ) as scene:
        _die_in_the_middle(scene, stage)
        began_at = time.monotonic()
        stage.platform.start()
        scene.shows(f"started again, in {time.monotonic() - began_at:.1f} s")
        payment_id = _find(scene, stage)
        payment = stage.shop.until_booked(scene, payment_id, 1)
        scene.got(f"{payment['status']}: taken up after its lease of {LEASE_SECONDS} s")
        scene.check("the payment is captured", payment["status"], "captured")
        held = [each["amount"] for each in stage.processor.charges_of(payment_id)]
        scene.check("the card was charged once", held, [7300])
        scene.check("and it is booked once", len(payment["ledger"]), 1)
        told = stage.shop.post(scene, "/payments", _ORDER, _KEY)
        scene.got(f"{told.status} {told.payment['id']} {told.payment['status']}")
        saw = (told.status, told.payment["id"])
        scene.check("the shop's retry is told of that payment", saw, (201, payment_id))
    return payment_id


def _die_in_the_middle(scene: Scene, stage: Stage) -> None:
    # Held back until the processor starts again: a webhook would be quicker than the kill.
    stage.processor.order("webhooks", {"paused": True})
    hang = {"kind": "hang", "operation": "payment_intents.confirm", "count": 1}
    stage.processor.order("faults", hang)
    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(stage.shop.post, scene, "/payments", _ORDER, _KEY)
        scene.wait(
            "the processor has charged the card",
            lambda: [each["amount"] for each in stage.processor.record("charges")],
            lambda amounts: 7300 in amounts,
        )
        stage.platform.kill()
        scene.shows("kill -9, as soon as the processor's own record had the charge")
        error = waiting.exception(timeout=60)
    if not isinstance(error, httpx.TransportError):
        raise StepFailed("the shop should have no answer", error or _told(waiting.result()))
    scene.got("nothing: the connection is gone, and so is the platform")


def _told(told: Told) -> object:
    return told.status, told.body


def _find(scene: Scene, stage: Stage) -> str:
    """The payment that nobody was told of, found by its customer."""
    page = stage.shop.get("/payments", user_id=_CUSTOMER)
    (payment,) = page["data"]
    scene.got(f"{payment['id']} is there: its intent was committed before the call")
    return str(payment["id"])
