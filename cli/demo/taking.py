"""The customer authenticates, the money is taken, and the books show where it went."""

from collections import Counter
from typing import Any, Final

from cli.demo.scene import Scene
from cli.demo.shop import card_order, money
from cli.demo.stage import Stage

AUTHENTICATED: Final = "payment_intent.succeeded"


def authenticate(stage: Stage) -> str:
    """A payment that waits for its customer, and goes on by itself when the bank says so."""
    with stage.screen.scene(
        "3-D Secure", "The bank asks its customer; the payment waits, and a webhook completes it."
    ) as scene:
        order = card_order(
            4900, "pm_card_threeDSecure2Required", return_url="https://shop.example/thanks"
        )
        payment = stage.shop.post(scene, "/payments", order, "order-18").payment
        page = payment["next_action"]["redirect_url"]
        scene.got(f"{payment['status']}: send the customer to {page}")
        scene.check("the payment waits for its customer", payment["status"], "confirming")
        scene.sent(f"POST {page}  outcome=complete (the customer's click)")
        back = stage.processor.click(page)
        scene.got(f"back to {back.partition('?')[0]}, and behind the scenes a webhook")
        scene.check("the customer is back in the shop", "redirect_status=succeeded" in back)
        stage.shop.until_status(scene, payment["id"], "captured")
        applied = heard(stage, payment["id"], "applied")
        scene.check("the webhook completed it", applied, [AUTHENTICATED])
    return str(payment["id"])


def capture(stage: Stage, payment_id: str) -> None:
    """What was held is taken, and booked."""
    with stage.screen.scene("Capture", "What was held is taken; the merchant decides when.") as act:
        told = stage.shop.post(act, f"/payments/{payment_id}/capture", {}, "order-17-capture")
        payment = told.payment
        taken = money(payment["amount_captured"], payment["currency"])
        fee = money(payment["platform_fee"], payment["currency"])
        act.got(f"{payment['status']}: {taken}, of which {fee} is the platform's fee")
        act.check("all of it is captured", payment["amount_captured"], 123450)
    with stage.screen.scene(
        "The ledger", "Double entry, append-only: what came in equals what is owed, to the cent."
    ) as scene:
        payment = stage.shop.until_booked(scene, payment_id, 1)
        show_entries(scene, payment["ledger"][0])
        amounts = sorted(entry["amount"] for entry in payment["ledger"][0]["entries"])
        scene.check("2.9 % and 0.30 stay with the platform", amounts, [-123450, 3610, 119840])
        scene.check("the entries sum to zero", sums(payment), {"USD": 0})


def heard(stage: Stage, payment_id: str, disposition: str) -> list[str]:
    """The types of those webhooks of a payment of which this came."""
    return [
        event["native_type"]
        for event in stage.shop.explain(payment_id)["applied_events"]
        if event["disposition"] == disposition
    ]


def show_entries(scene: Scene, transaction: dict[str, Any]) -> None:
    for entry in transaction["entries"]:
        scene.got(f"{money(entry['amount'], entry['currency']):>14}  {entry['account']}")


def sums(payment: dict[str, Any]) -> dict[str, int]:
    """All entries of a payment together, per currency."""
    total: Counter[str] = Counter()
    for transaction in payment["ledger"]:
        for entry in transaction["entries"]:
            total[entry["currency"]] += entry["amount"]
    return dict(total)
