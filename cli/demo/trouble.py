"""What goes wrong between two houses: a processor that dies, a lost reply, a repeated webhook."""

from typing import Any, Final

from cli.demo.scene import Scene
from cli.demo.shop import card_order
from cli.demo.stage import Stage
from cli.demo.taking import AUTHENTICATED, heard

_REPEATS: Final = 'webhooks_received_total{outcome="duplicate"}'


def lose_a_processor(stage: Stage) -> str:
    """One processor dies, and the payment is made at another; its id."""
    with stage.screen.scene(
        "A processor goes down",
        "Euros go to northbank first. Its process is killed, and the next payment fails over.",
    ) as scene:
        order = {"amount": "12,50 €", "method": "card", "payment_method": "pm_card_visa"}
        before = stage.shop.post(scene, "/payments", order, "order-19").payment
        scene.got(f"{before['status']} at {_places(before)}")
        scene.check("northbank takes euros", (before["status"], _places(before)), _at("northbank"))
        stage.bank.kill()
        scene.shows("kill -9 northbank")
        after = stage.shop.post(scene, "/payments", order, "order-20").payment
        scene.got(f"{after['status']} at {_places(after)}")
        _show_decisions(scene, stage, after["id"])
        scene.check("stripe took it instead", (after["status"], _places(after)), _at("stripe"))
        held = [each["amount"] for each in stage.processor.charges_of(after["id"])]
        scene.check("and took it once", held, [1250])
    return str(after["id"])


def lose_a_reply(stage: Stage) -> None:
    """The processor did it, and its answer never came."""
    with stage.screen.scene(
        "A lost reply",
        "Stripe charges the card, and the connection dies before it answers. It is not sent again.",
    ) as scene:
        # Its webhook would tell as well: held back, so that asking is the only way to know.
        stage.processor.order("webhooks", {"paused": True})
        fault = {"kind": "reply_lost", "operation": "payment_intents.confirm", "count": 1}
        stage.processor.order("faults", fault)
        payment = stage.shop.post(scene, "/payments", card_order(3100), "order-21").payment
        stage.processor.order("webhooks", {"paused": False})
        scene.got(f"{payment['status']} all the same")
        _show_decisions(scene, stage, payment["id"])
        story = stage.shop.explain(payment["id"])
        operations = [each["operation"] for each in story["attempts"][0]["tries"]]
        scene.check("it was sent once, then looked up", operations, ["authorize", "lookup"])
        scene.check("the payment is captured", payment["status"], "captured")
        charges = [each["amount"] for each in stage.processor.charges_of(payment["id"])]
        scene.check("the processor's own record has one charge", charges, [3100])


def repeat_a_webhook(stage: Stage, payment_id: str) -> None:
    """The processor tells the same thing twice, as they do."""
    with stage.screen.scene(
        "A webhook comes twice",
        "The one that completed the 3-D Secure payment is delivered again: nothing may happen.",
    ) as scene:
        before = stage.shop.payment(payment_id)
        event_id = _told_by(stage, payment_id)
        repeats = stage.shop.metric(_REPEATS)
        scene.sent(f"webhook {event_id} ({AUTHENTICATED}), which was delivered before")
        stage.processor.order(f"events/{event_id}/resend", {})
        states = scene.wait(
            "the second delivery is answered",
            lambda: _deliveries(stage, event_id),
            lambda found: len(found) == 2 and "pending" not in found,
        )
        scene.got("answered 200, as it was the first time")
        scene.check("both were accepted", states, ["delivered", "delivered"])
        scene.check("it is known as a repeat", stage.shop.metric(_REPEATS), repeats + 1)
        scene.check("it was applied once", heard(stage, payment_id, "applied"), [AUTHENTICATED])
        scene.check("the payment is what it was", stage.shop.payment(payment_id), before)


def _told_by(stage: Stage, payment_id: str) -> str:
    """The processor's id of the event that completed a payment."""
    events = stage.shop.explain(payment_id)["applied_events"]
    (found,) = (each for each in events if each["disposition"] == "applied")
    return str(found["processor_event_id"])


def _places(payment: dict[str, Any]) -> str:
    return ", ".join(step["processor_id"] for step in payment["result"]["step_results"])


def _at(processor_id: str) -> tuple[str, str]:
    return "captured", processor_id


def _show_decisions(scene: Scene, stage: Stage, payment_id: str) -> None:
    """What the router decided on the way, in its own words."""
    for attempt in stage.shop.explain(payment_id)["attempts"]:
        for decision in attempt["decisions"]:
            scene.shows(f"{decision['rule']}: {decision['message']}")


def _deliveries(stage: Stage, event_id: str) -> list[str]:
    return [
        each["state"] for each in stage.processor.record("deliveries") if each["event"] == event_id
    ]
