"""RouterService over gRPC: translate, call the use case, translate back."""

from datetime import timedelta
from typing import Any, Final

import grpc
from payments.router.v1 import router_service_pb2 as pb
from payments.router.v1.router_service_pb2_grpc import RouterServiceServicer

from services.kernel.paging import page_size
from services.router import translate
from services.router.service.router import Router

Context = grpc.aio.ServicerContext[Any, Any]

# What is kept back of a caller's deadline, so that an UNKNOWN is told as a result and in time.
_MARGIN_SECONDS: Final = 0.1


class RouterServicer(RouterServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def ExecuteAttempt(
        self, request: pb.ExecuteAttemptRequest, context: Context
    ) -> pb.ExecuteAttemptResponse:
        order = translate.order_from_request(request)
        timeout = _within_deadline(translate.timeout_of(request), context)
        return translate.execute_response(await self._router.execute(order, timeout))

    async def LookupAttempt(
        self, request: pb.LookupAttemptRequest, context: Context
    ) -> pb.LookupAttemptResponse:
        order = translate.order_from_lookup(request)
        timeout = _within_deadline(translate.timeout_of(request), context)
        return translate.lookup_response(await self._router.look_up(order, timeout))

    async def ListCircuitBreakers(
        self, request: pb.ListCircuitBreakersRequest, context: Context
    ) -> pb.ListCircuitBreakersResponse:
        breakers, after = self._router.circuit_breakers(
            request.processor_id or None,
            translate.wanted_state(request),
            translate.breakers_after(request),
            page_size(request.page_size),
        )
        return pb.ListCircuitBreakersResponse(
            circuit_breakers=[translate.breaker_message(breaker) for breaker in breakers],
            next_page_token=translate.breakers_token(request, after),
        )


def _within_deadline(timeout: timedelta, context: Context) -> timedelta:
    """The time asked for, or what the call leaves of it."""
    remaining_seconds: float | None = context.time_remaining()
    if remaining_seconds is None:
        return timeout
    return min(timeout, timedelta(seconds=remaining_seconds - _MARGIN_SECONDS))
