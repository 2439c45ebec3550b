"""What can be said afterwards: the story of a payment, and whether everything is as it must be."""

from typing import Final

from cli.demo.stage import Stage

_STORY: Final = ("gateway", "plan", "router", "processor", "orchestrator", "ledger")


def explain(stage: Stage, payment_id: str) -> None:
    """One payment from what was typed to what was booked."""
    with stage.screen.scene(
        "Explain", "The payment that failed over, from the raw field to the journal, as recorded."
    ) as scene:
        scene.sent(f"payment-cli explain {payment_id}")
        told = stage.platform.cli_json("explain", payment_id)["timeline"]
        for line in told:
            scene.got(f"{line['occurred_at'][11:23]} {line['source']}: {line['message']}")
        sources = {line["source"] for line in told}
        scene.check("everybody who had a part is in it", set(_STORY) - sources, set())
        over_http = [line["message"] for line in stage.shop.explain(payment_id)["timeline"]]
        over_grpc = [line["message"] for line in told]
        scene.check("HTTP tells the same story", over_http, over_grpc)
