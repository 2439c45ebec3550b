"""Whether what the outside told was taken in: each event once, whether it was delivered or not."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from payments.webhooks.v1.webhook_service_pb2 import ReceiveWebhookRequest
from payments.webhooks.v1.webhook_service_pb2_grpc import WebhookServiceStub

from oracle import Violation
from services.runtime.database import Connection
from tests.torture.fleet import Fleet
from tests.torture.outside import Outside
from tests.webhooks.letters import Letter

_TAKING_SECONDS: Final = 5.0
_STORED: Final = "select stripe_event_id as id, event_type, state from webhooks.webhook_events"
_DONE: Final = frozenset({"processed", "ignored"})


class Postman:
    """Hands deliveries to whoever is alive."""

    def __init__(self, crew: Fleet) -> None:
        self._fleet = crew

    async def take(self, letter: Letter) -> None:
        request = ReceiveWebhookRequest(
            adapter="stripe", body=letter.body, signature_header=letter.header
        )
        stub = WebhookServiceStub(await self._fleet.any())
        await stub.ReceiveWebhook(request, timeout=_TAKING_SECONDS)


class News:
    """All that there was to tell, and what has become of it."""

    def __init__(self, world: Outside, owner: Connection) -> None:
        self._world = world
        self._owner = owner

    async def is_taken_in(self) -> bool:
        """Whether everything is stored and done."""
        told = await self._world.event_ids()
        done = [row["id"] for row in await self._owner.fetch(_STORED) if row["state"] in _DONE]
        return told <= set(done)

    async def counts(self) -> Counter[str]:
        return Counter(row["state"] for row in await self._owner.fetch(_STORED))

    async def violations(self) -> AsyncIterator[Violation]:
        rows = await self._owner.fetch(_STORED)
        for event_id in await self._world.event_ids() - {row["id"] for row in rows}:
            yield Violation("news.lost", event_id, "was neither taken in nor fetched")
        for row in rows:
            if row["state"] not in _DONE:
                message = f"its {row['event_type']} is {row['state']}"
                yield Violation("news.undone", row["id"], message)
