"""A merchant's shop: it calls the platform over HTTP with its key, as any merchant does."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

from cli.demo.scene import Scene, StepFailed
from services.kernel.money import Currency, Money

_PREFIX: Final = "/api/v1"
_TIMEOUT_SECONDS: Final = 60.0
_OK: Final = 200


@dataclass(frozen=True)
class Told:
    """What the platform answered."""

    status: int
    body: dict[str, Any]
    raw: bytes
    was_replayed: bool

    @property
    def payment(self) -> dict[str, Any]:
        """The payment in it, where it is one that was not refused."""
        if self.body.get("object") != "payment":
            raise StepFailed("the answer should be a payment", self.body)
        return self.body


class Shop:
    """Calls with one key; every answer is shown by who asked, every order by this."""

    def __init__(self, url: str, api_key: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def post(self, scene: Scene, path: str, body: dict[str, Any], key: str) -> Told:
        """Send an order under an idempotency key, and show what is sent."""
        scene.sent(f"POST {_PREFIX}{path}  {json.dumps(body, ensure_ascii=False)}")
        answer = self._http.post(_PREFIX + path, json=body, headers={"Idempotency-Key": key})
        replayed = answer.headers.get("Idempotent-Replayed") == "true"
        return Told(answer.status_code, answer.json(), answer.content, replayed)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._http.get(_PREFIX + path, params=query)
        body: dict[str, Any] = answer.json()
        if answer.status_code != _OK:
            raise StepFailed(f"GET {path} should be answered", body)
        return body

    def payment(self, payment_id: str) -> dict[str, Any]:
        """One payment as it is now, with its lines in the ledger."""
        return self.get(f"/payments/{payment_id}")

    def explain(self, payment_id: str) -> dict[str, Any]:
        return self.get(f"/payments/{payment_id}/explain")

    def metric(self, series: str) -> float:
        """One series of what the platform counts, 0 before it was first counted."""
        text = self._http.get("/metrics").text
        values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series)]
        return sum(map(float, values))

    def until_booked(self, scene: Scene, payment_id: str, transactions: int) -> dict[str, Any]:
        """The payment as soon as the ledger holds that many transactions of it."""
        return scene.wait(
            f"the ledger has {transactions} transactions of the payment",
            lambda: self.payment(payment_id),
            lambda payment: len(payment["ledger"] or ()) >= transactions,
        )

    def until_status(self, scene: Scene, payment_id: str, status: str) -> dict[str, Any]:
        return scene.wait(
            f"the payment is {status}",
            lambda: self.payment(payment_id),
            lambda payment: bool(payment["status"] == status),
        )


def card_order(amount: object, card: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
    """An order in the canonical form, paid with one of the sandbox's cards."""
    return {"amount": amount, "currency": "USD", "method": "card", "payment_method": card, **more}


def money(amount_minor: int, currency: str) -> str:
    return str(Money(amount_minor, Currency(currency)))
