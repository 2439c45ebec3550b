"""Whether the process lives, whether it can do its work, and what it counts."""

import asyncio
from typing import Final, Literal

from grpc.aio import AioRpcError
from payments.orchestrator.v1.orchestrator_service_pb2 import GetPaymentRequest
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from gateway.exchange import Exchange
from gateway.operations import Operation, Success
from gateway.problems import error_of_call
from gateway.told import Told
from services.kernel.errors import NotFound
from services.kernel.ids import PaymentId

_READY_SECONDS: Final = 2.0


class Health(TypedDict):
    """It answers."""

    status: Literal["ok"]


async def live(_exchange: Exchange) -> Told:
    return Told(200, Health(status="ok"))


async def ready(exchange: Exchange) -> Told:
    """Ask for a payment that does not exist: who can say so has reached the database."""
    request = GetPaymentRequest(payment_id=PaymentId.new())
    try:
        await exchange.services.orchestrator.GetPayment(request, timeout=_READY_SECONDS)
    except AioRpcError as error:
        failure = error_of_call(error)
        if not isinstance(failure, NotFound):
            raise failure from error
    return Told(200, Health(status="ok"))


async def metrics(exchange: Exchange) -> Told:
    # Off the loop: rendering thousands of children would hold up every payment meanwhile.
    text = await asyncio.to_thread(generate_latest, exchange.means.telemetry.registry)
    return Told(200, text, media_type=CONTENT_TYPE_LATEST)


OPERATIONS: Final = (
    Operation(
        "live",
        "GET",
        "/healthz",
        "Whether the process lives.",
        live,
        {200: Success("It does.", Health)},
        needs_key=False,
        tag="operations",
    ),
    Operation(
        "ready",
        "GET",
        "/readyz",
        "Whether what the gateway needs can be reached, the database included.",
        ready,
        {200: Success("It can.", Health)},
        (504,),
        needs_key=False,
        tag="operations",
    ),
    Operation(
        "metrics",
        "GET",
        "/metrics",
        "What is counted, in Prometheus' text format.",
        metrics,
        {200: Success("The metrics.", str, CONTENT_TYPE_LATEST)},
        needs_key=False,
        tag="operations",
    ),
)
