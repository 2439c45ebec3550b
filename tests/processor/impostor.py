"""A Stripe that answers what a test says, and bodies that fit but for what a test changes."""

import json
from typing import Any

from sandbox.wire import Answer, Request

HOLD = "pi_1"


def intent(attempt_id: str, **changes: Any) -> dict[str, Any]:
    """A payment intent that fits an attempt of 12.50 USD, but for the changes."""
    return {
        "id": HOLD,
        "object": "payment_intent",
        "amount": 1250,
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": "manual",
        "currency": "usd",
        "status": "requires_confirmation",
        "metadata": {"switchyard_attempt_id": attempt_id},
    } | changes


def refund(attempt_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 1250,
        "currency": "usd",
        "payment_intent": HOLD,
        "status": "succeeded",
        "metadata": {"switchyard_attempt_id": attempt_id},
    } | changes


class Impostor:
    """Answers the request that decides with what a test says, and those before it well."""

    def __init__(self) -> None:
        self.status = 200
        self.content = b""
        self.headers = {"Content-Type": "application/json"}
        self.attempt_id = ""
        self.requests: list[Request] = []
        self.url = ""

    async def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.path == "/v1/payment_intents":
            content = json.dumps(intent(self.attempt_id)).encode()
            return Answer(200, content, {"Content-Type": "application/json"})
        return Answer(self.status, self.content, self.headers)

    @property
    def deciding(self) -> list[str]:
        return [request.path for request in self.requests if request.path != "/v1/payment_intents"]
