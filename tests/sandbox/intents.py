"""Payment intents as the tests make them."""

from __future__ import annotations

from typing import Any

CARD = {"allowed_payment_method_types": ["card"]}
USD = {"amount": 1250, "currency": "usd"}


async def confirmed(api: Any, card: str = "pm_card_visa", **more: Any) -> Any:
    return await api.payment_intents.create_async(
        {**USD, **CARD, "payment_method": card, "confirm": True, **more}
    )


async def types_of_events(api: Any) -> list[str]:
    return [event.type for event in reversed((await api.events.list_async()).data)]
