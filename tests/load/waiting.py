"""A processor that takes its time, and customers who take theirs."""

import asyncio
import time
from typing import Final

from tests.load.caller import CHALLENGED, Caller
from tests.load.measured import Measured, Sizes, percentile

_PROCESSOR_MS: Final = 1_000
_P95_SECONDS: Final = 5.0
_CLICKED_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1


async def slow_processor(caller: Caller, sizes: Sizes) -> list[Measured]:
    """A hundred pay at once where each confirmation takes a second."""
    count = sizes.slow
    fault = {"kind": "slow", "operation": "payment_intents.confirm", "delay_ms": _PROCESSOR_MS}
    await caller.sandbox("POST", "/_sandbox/faults", json=fault)
    answers = await asyncio.gather(*(caller.pay() for _ in range(count)))
    await caller.sandbox("DELETE", "/_sandbox/faults")
    paid = sum(each.status == 201 and each.body["status"] == "captured" for each in answers)
    p95 = percentile([each.seconds for each in answers], 95)
    return [
        Measured(
            f"{count} payments at once, the processor takes 1 s: p95 below {_P95_SECONDS:.0f} s",
            f"p95 {p95:.2f} s, {paid} captured",
            p95 < _P95_SECONDS and paid == count,
            needs_quiet=True,
        )
    ]


async def three_d_secure(caller: Caller, sizes: Sizes) -> list[Measured]:
    """From the customer's click until the merchant sees the payment captured."""
    count = sizes.challenged

    async def pay(_: int) -> float:
        answer = await caller.pay(**CHALLENGED)
        payment = answer.body
        assert payment["status"] == "confirming", payment
        clicked_at = time.perf_counter()
        await caller.click(payment["next_action"]["redirect_url"])
        while time.perf_counter() - clicked_at < 2 * _CLICKED_SECONDS:
            shown = await caller.get(f"/payments/{payment['id']}")
            if shown.body["status"] == "captured":
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return time.perf_counter() - clicked_at

    took = await asyncio.gather(*map(pay, range(count)))
    return [
        Measured(
            f"{count} 3-D Secure payments at once: captured within {_CLICKED_SECONDS:.0f} s of the"
            " click",
            f"p50 {percentile(took, 50):.2f} s, at most {max(took):.2f} s",
            max(took) < _CLICKED_SECONDS,
            needs_quiet=True,
        )
    ]
