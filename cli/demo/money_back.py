"""Money that goes back: because the shop refunds it, or because the customer's bank takes it."""

from typing import Any

from cli.demo.scene import Scene
from cli.demo.shop import money
from cli.demo.stage import Stage
from cli.demo.taking import show_entries, sums


def refund(stage: Stage, payment_id: str) -> None:
    """Part of it, then the rest, then one cent too much."""
    with stage.screen.scene(
        "Refunds", "A part, then all that is left; one cent more can never be paid out."
    ) as scene:
        _pay_back(scene, stage, payment_id, {"amount": 23450, "reason": "arrived broken"}, 1)
        partly = stage.shop.payment(payment_id)
        scene.check("a part leaves it captured", partly["status"], "captured")
        _pay_back(scene, stage, payment_id, {}, 2)
        payment = stage.shop.until_booked(scene, payment_id, 3)
        scene.check(
            "all of it makes it refunded",
            (payment["status"], payment["amount_refunded"]),
            ("refunded", 123450),
        )
        refused = stage.shop.post(
            scene, f"/payments/{payment_id}/refund", {"amount": 1}, "order-17-refund-3"
        )
        scene.got(f"{refused.status} {refused.body['code']}: {refused.body['detail']}")
        saw = (refused.status, refused.body["code"])
        scene.check("one cent more is refused", saw, (409, "already_refunded"))
        scene.check("the customer got 1234.50 USD back, no more", _returned(stage), 123450)
        even = {"processor": 0, "merchant": 0, "platform": 0}
        scene.check("the fee went back too: the accounts are even again", _left(payment), even)


def dispute(stage: Stage, payment_id: str) -> None:
    """The customer's bank takes the money back, and has to return it."""
    with stage.screen.scene(
        "A dispute", "The customer's bank decides, and tells by webhook; each move is booked."
    ) as scene:
        intent = _reference(stage.shop.payment(payment_id))
        scene.sent(f"the bank disputes {intent} as fraudulent")
        opened = stage.processor.order("disputes", {"payment_intent": intent})
        payment = stage.shop.until_booked(scene, payment_id, 3)
        scene.got(f"{payment['status']}: the funds and a fee are withdrawn")
        for transaction in payment["ledger"][1:]:
            show_entries(scene, transaction)
        scene.check("the payment is disputed", payment["status"], "disputed")
        scene.check("all of it", payment["amount_disputed"], payment["amount"])
        scene.check("the merchant bears it, and 15.00 more", _moved(payment, 1), -4900 - 1500)
        scene.sent("the bank decides for the merchant")
        stage.processor.order(f"disputes/{opened['id']}/win", {})
        payment = stage.shop.until_booked(scene, payment_id, 4)
        (told,) = scene.wait(
            "the dispute is decided",
            lambda: stage.shop.explain(payment_id)["disputes"],
            lambda disputes: bool(disputes[0]["state"] == "won"),
        )
        scene.got(f"{told['state']}: the funds are reinstated, the fee is not")
        show_entries(scene, payment["ledger"][3])
        scene.check("the merchant has its money again", _moved(payment, 3), 4900)
        scene.check("and the books balance all the way", sums(payment), {"USD": 0})


def _moved(payment: dict[str, Any], since: int) -> int:
    """What the merchant is owed more, or less, by the transactions from this one on."""
    return sum(
        entry["amount"]
        for transaction in payment["ledger"][since:]
        for entry in transaction["entries"]
        if entry["account"].startswith("merchant:")
    )


def _pay_back(
    scene: Scene, stage: Stage, payment_id: str, body: dict[str, Any], number: int
) -> None:
    key = f"order-17-refund-{number}"
    told = stage.shop.post(scene, f"/payments/{payment_id}/refund", body, key)
    paid = money(told.body["amount"], told.body["currency"])
    scene.got(f"{told.status} {told.body['status']}: {paid}")
    scene.check("it is paid out", (told.status, told.body["status"]), (201, "succeeded"))


def _reference(payment: dict[str, Any]) -> str:
    return str(payment["result"]["step_results"][0]["processor_reference"])


def _returned(stage: Stage) -> int:
    """All that the processor's own record says was paid back so far."""
    return sum(each["amount"] for each in stage.processor.record("refunds"))


def _left(payment: dict[str, Any]) -> dict[str, int]:
    """What each kind of account has of a payment in the end, all its transactions together."""
    left: dict[str, int] = {}
    for transaction in payment["ledger"]:
        for entry in transaction["entries"]:
            kind = entry["account"].partition(":")[0]
            left[kind] = left.get(kind, 0) + entry["amount"]
    return left
