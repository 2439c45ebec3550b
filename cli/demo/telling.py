"""What can be said afterwards: the story of a payment, and whether everything is as it must be."""

from typing import Final

from cli.demo.shop import money
from cli.demo.stage import Stage

_STORY: Final = ("gateway", "plan", "router", "processor", "orchestrator", "ledger")


def explain(stage: Stage, payment_id: str) -> None:
    """One payment from what was typed to what was booked."""
    with stage.screen.scene(
        "Explain", "The payment that failed over, from the raw field to the journal, as recorded."
    ) as scene:
        scene.sent(f"payment-cli explain {payment_id}")
        told = stage.platform.cli("explain", payment_id)["timeline"]
        for line in told:
            scene.got(f"{line['occurred_at'][11:23]} {line['source']}: {line['message']}")
        sources = {line["source"] for line in told}
        scene.check("everybody who had a part is in it", set(_STORY) - sources, set())
        over_http = [line["message"] for line in stage.shop.explain(payment_id)["timeline"]]
        over_grpc = [line["message"] for line in told]
        scene.check("HTTP tells the same story", over_http, over_grpc)


def consult(stage: Stage) -> None:
    """The oracle compares the platform's books with the processor's own record."""
    with stage.screen.scene(
        "The oracle",
        "After all of that: do payments, ledger, events and the processor's own record agree?",
    ) as scene:
        scene.sent("payment-cli doctor")
        findings = stage.platform.cli("doctor")
        scene.got(f"payments: {_counts(findings['payments'])}")
        scene.got(f"captured: {_amounts(findings['captured_minor'])}")
        scene.got(f"refunded: {_amounts(findings['refunded_minor'])}")
        scene.got(f"the processor's own record: {_counts(findings['processors'])}")
        scene.check("nothing contradicts anything else", findings["violations"], [])
        scene.check(
            "all of it was looked at", (findings["problems"], findings["left_out"]), ([], [])
        )
        open_things = [findings[name] for name in ("in_doubt", "dead_letters")]
        scene.check("nothing is in doubt, nothing was given up", open_things, [[], []])
        sums = {each["currency"]: each["amount_minor"] for each in findings["ledger"]["sums"]}
        scene.check("the ledger sums to zero per currency", sums, {"EUR": 0, "USD": 0})
        scene.check("the verdict", findings["state"], "fine")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _amounts(amounts_minor: dict[str, int]) -> str:
    return ", ".join(money(amount, code) for code, amount in amounts_minor.items())
