"""The official SDK, asked for what the adapter needs; every answer comes back as plain data.

The SDK raises on whatever is no success, and its objects differ by version. The rules of what an
answer means are easier to read, and to feed with garbage, over a status and a mapping.
"""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import stripe

from services.processor.adapters.stripe.transport import Transport
from services.processor.domain.raw import excerpt

API_VERSION: Final = "2026-10-28.endive"
"""The version whose shapes the adapter reads: raising it is a change to be tested."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe answered: an object, an error in Stripe's form, or something else altogether."""

    status: int
    body: Mapping[str, Any]
    is_replay: bool
    """Whether it is the stored answer to an earlier request with the same key."""

    @property
    def is_object(self) -> bool:
        return 200 <= self.status < 300 and isinstance(self.body.get("object"), str)

    @property
    def error(self) -> Mapping[str, Any]:
        """The error, or nothing where this is none in Stripe's form."""
        error = self.body.get("error")
        if isinstance(error, Mapping) and isinstance(error.get("type"), str):
            return error
        return {}


class StripeApi:
    """One account's door to Stripe."""

    def __init__(self, api_key: str, base_url: str) -> None:
        self._transport = Transport()
        client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": base_url},
            http_client=self._transport,
            # Repeating is the router's decision: it knows what an outcome in doubt costs.
            max_network_retries=0,
        )
        # The SDK types parameters by hundreds of nested dictionaries; ours are built from rules.
        self._v1: Any = client.v1

    async def create_method(self, params: Mapping[str, Any], key: str) -> Answer:
        return await _ask(self._v1.payment_methods.create_async(params, _keyed(key)))

    async def create_intent(self, params: Mapping[str, Any], key: str) -> Answer:
        return await _ask(self._v1.payment_intents.create_async(params, _keyed(key)))

    async def confirm_intent(self, intent_id: str, params: Mapping[str, Any], key: str) -> Answer:
        return await _ask(self._v1.payment_intents.confirm_async(intent_id, params, _keyed(key)))

    async def capture_intent(self, intent_id: str, params: Mapping[str, Any], key: str) -> Answer:
        return await _ask(self._v1.payment_intents.capture_async(intent_id, params, _keyed(key)))

    async def cancel_intent(self, intent_id: str, key: str) -> Answer:
        return await _ask(self._v1.payment_intents.cancel_async(intent_id, {}, _keyed(key)))

    async def retrieve_intent(self, intent_id: str, params: Mapping[str, Any]) -> Answer:
        return await _ask(self._v1.payment_intents.retrieve_async(intent_id, params))

    async def list_intents(self, params: Mapping[str, Any]) -> Answer:
        return await _ask(self._v1.payment_intents.list_async(params))

    async def create_refund(self, params: Mapping[str, Any], key: str) -> Answer:
        return await _ask(self._v1.refunds.create_async(params, _keyed(key)))

    async def list_refunds(self, params: Mapping[str, Any]) -> Answer:
        return await _ask(self._v1.refunds.list_async(params))

    async def list_events(self, params: Mapping[str, Any]) -> Answer:
        return await _ask(self._v1.events.list_async(params))

    async def close(self) -> None:
        await self._transport.close_async()


def _keyed(key: str) -> dict[str, str]:
    return {"idempotency_key": key}


async def _ask(call: Coroutine[Any, Any, Any]) -> Answer:
    try:
        found = await call
    except stripe.StripeError as error:
        body = error.json_body
        return Answer(
            status=error.http_status or 0,
            body=body if isinstance(body, Mapping) else {"text": excerpt(error.http_body or "")},
            is_replay=_is_replay(error.headers),
        )
    response = getattr(found, "last_response", None)
    if response is None or not isinstance(response.data, Mapping):
        return Answer(status=200, body={"text": excerpt(repr(found))}, is_replay=False)
    return Answer(status=response.code, body=response.data, is_replay=_is_replay(response.headers))


def _is_replay(headers: object) -> bool:
    found = headers.get("idempotent-replayed") if isinstance(headers, Mapping) else None
    return found == "true"
