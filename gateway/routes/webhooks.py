"""What processors tell unasked: handed over byte for byte, since the bytes are what was signed."""

from typing import Final, Literal

from payments.webhooks.v1.webhook_service_pb2 import ReceiveWebhookRequest
from typing_extensions import TypedDict

from gateway.exchange import Exchange
from gateway.limits import WEBHOOK_BYTES_MAX
from gateway.operations import PREFIX, Operation, Parameter, Success
from gateway.routes import bodies
from gateway.told import Told

_SECONDS: Final = 10.0


class Received(TypedDict):
    """The event is stored; it is applied afterwards."""

    received: Literal[True]
    webhook_event_id: str
    duplicate: bool


async def receive_stripe(exchange: Exchange) -> Told:
    request = ReceiveWebhookRequest(
        idempotency_key=exchange.request_id,
        adapter="stripe",
        body=await exchange.raw_body(WEBHOOK_BYTES_MAX),
        signature_header=exchange.headers.get("stripe-signature", ""),
    )
    request.received_at.FromDatetime(exchange.means.clock.now())
    answer = await exchange.services.webhooks.ReceiveWebhook(request, timeout=_SECONDS)
    received: Received = {
        "received": True,
        "webhook_event_id": answer.webhook_event_id,
        "duplicate": answer.duplicate,
    }
    return Told(200, received)


OPERATIONS: Final = (
    Operation(
        "receiveStripeWebhook",
        "POST",
        f"{PREFIX}/webhooks/stripe",
        "Take an event of Stripe's, signed over its bytes.",
        receive_stripe,
        {200: Success("The event is stored.", Received)},
        (401, 413),
        needs_key=False,
        body=bodies.WEBHOOK,
        parameters=(
            Parameter(
                "Stripe-Signature", "header", "`t=…,v1=…`, as Stripe sends it.", {"type": "string"}
            ),
        ),
        tag="webhooks",
    ),
)
