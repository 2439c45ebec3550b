"""What was asked for, what was made of it, and the money that is held for it."""

from typing import Any, Final

from cli.demo.scene import Scene
from cli.demo.shop import money
from cli.demo.stage import Stage

_MESSY: Final[dict[str, Any]] = {
    "Amount": "$1,234.50",
    "Method": "Visa",
    "paymentMethodId": "pm_card_visa",
    "captureMethod": "Manual",
    "meta": {"order": 17},
}
_LENIENCIES: Final = {"amount.written", "amount.currency_within", "method.network", "choice.form"}


def ask(stage: Stage) -> str:
    """Three scenes of one payment, which is held at the end; its id."""
    with stage.screen.scene(
        "A messy request is made strict",
        "Merchants send what they have; every leniency is a named rule and leaves an issue.",
    ) as scene:
        told = stage.shop.post(scene, "/payments", _MESSY, "order-17")
        payment = told.payment
        _show_coercion(scene, payment)
    with stage.screen.scene(
        "The plan, and why", "Each processor was kept or left out by a rule, which is on record."
    ) as scene:
        story = stage.shop.explain(payment["id"])
        _show_plan(scene, story)
        kept = [issue["rule"] for issue in story["context"]["issues"]]
        answered = [issue["rule"] for issue in payment["validation_issues"]]
        scene.check("the issues of the request are on record with it", kept, answered)
    with stage.screen.scene(
        "Authorize", "The money is held on the customer's card, and not taken yet."
    ) as scene:
        _show_hold(scene, stage, payment)
    return str(payment["id"])


def _show_coercion(scene: Scene, payment: dict[str, Any]) -> None:
    scene.got(
        f"{payment['id']}: {money(payment['amount'], payment['currency'])} by card,"
        f" capture {payment['capture_method']}"
    )
    for issue in payment["validation_issues"]:
        scene.shows(f'{issue["field"]}: "{issue["raw"]}" → "{issue["coerced"]}" ({issue["rule"]})')
    strict = (payment["amount"], payment["currency"], payment["capture_method"])
    scene.check("it is 123450 minor units of USD now", strict, (123450, "USD", "manual"))
    fired = {issue["rule"] for issue in payment["validation_issues"]}
    scene.check("each leniency left its issue", _LENIENCIES - fired, set())


def _show_plan(scene: Scene, story: dict[str, Any]) -> None:
    (step,) = story["plan"]["steps"]
    verdicts = {}
    for decision in step["decisions"]:
        verdicts[decision["processor_id"]] = decision["rule"]
        scene.got(
            f"{decision['processor_id']} {decision['verdict']}:"
            f" {decision['message']} ({decision['rule']})"
        )
    candidates = [each["processor_id"] for each in step["candidates"]]
    scene.check("stripe alone can take it", candidates, ["stripe"])
    reasons = (verdicts["northbank"], verdicts["apple_pay"])
    expected = ("currency.unsupported", "method.unsupported")
    scene.check("the others were rejected, each with its reason", reasons, expected)


def _show_hold(scene: Scene, stage: Stage, payment: dict[str, Any]) -> None:
    (step,) = payment["result"]["step_results"]
    scene.got(f"{payment['status']} at {step['processor_id']}, as {step['processor_reference']}")
    scene.check("the payment is authorized", payment["status"], "authorized")
    charges = stage.processor.charges_of(payment["id"])
    outside = [(each["amount"], each["captured"]) for each in charges]
    scene.check("the processor's own record holds it, untaken", outside, [(123450, False)])
    scene.check("so the ledger has nothing of it", stage.shop.payment(payment["id"])["ledger"], [])
