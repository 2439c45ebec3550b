"""Idempotency keys: a request that is sent twice is answered twice, and done once."""

from cli.demo.shop import card_order
from cli.demo.stage import Stage


def reuse_a_key(stage: Stage) -> None:
    """The same request again, and then another one under its key."""
    with stage.screen.scene(
        "The same key again",
        "A retry gets the first answer; another request under that key is told what differs.",
    ) as scene:
        first = stage.shop.post(scene, "/payments", card_order(2500), "order-22")
        scene.got(f"{first.status} {first.payment['id']} {first.payment['status']}")
        again = stage.shop.post(scene, "/payments", card_order("$25.00"), "order-22")
        scene.got(f"{again.status} {again.payment['id']}, replayed")
        scene.check("it is a replay, although written otherwise", again.was_replayed)
        scene.check("to the byte", again.raw, first.raw)
        other = stage.shop.post(scene, "/payments", card_order(2600), "order-22")
        differing = [error["field"] for error in other.body.get("errors", ())]
        scene.got(f"{other.status} {other.body['code']}: {other.body['detail']}")
        saw = (other.status, other.body["code"], differing)
        expected = (422, "idempotency_key_reused", ["amount"])
        scene.check("another amount is refused, by the field's name", saw, expected)
        charges = stage.processor.charges_of(first.payment["id"])
        scene.check("the card was charged once", len(charges), 1)
