"""A channel to the services of this very process: the same stubs, without the network.

A call costs a task instead of a connection, and yet shares nothing with its handler. Each runs in a
task and an empty context of its own, its messages cross as bytes, and deadlines, cancellation,
limits and statuses are those of the network; one conformance suite holds both channels to that.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from grpc.aio import (
    AbortError,
    Channel,
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
    UsageError,
)

from services.runtime.rpc.in_process.call import InProcessStreamCall, InProcessUnaryCall
from services.runtime.rpc.in_process.context import InProcessContext, checked_metadata, too_large
from services.runtime.rpc.in_process.exchange import Exchange, FinalStatus
from services.runtime.rpc.limits import MESSAGE_BYTES_MAX
from services.runtime.rpc.method import ServedMethod
from services.runtime.rpc.registry import Registry

_CLOSING = FinalStatus(
    grpc.StatusCode.CANCELLED, "Locally cancelled by application!", is_local_cancellation=True
)


class InProcessChannel(Channel):
    """What generated stubs use of a grpc.aio channel, served by a registry."""

    def __init__(self, registry: Registry, *, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._registry = registry
        self._message_bytes_max = message_bytes_max
        self._running: set[Exchange] = set()
        self._is_closed = False
        self._closed = asyncio.Event()

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryUnaryMultiCallable[Any, Any]:
        """Make what a stub calls for a method with one request and one response."""
        return _UnaryUnary(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryStreamMultiCallable[Any, Any]:
        """Make what a stub calls for a method that answers with a stream."""
        return _UnaryStream(self, method, request_serializer, response_deserializer)

    def stream_unary(
        self, method: str, *_args: Any, **_options: Any
    ) -> StreamUnaryMultiCallable[Any, Any]:
        """Let the stub be made; calling the method is refused."""
        return _RefusedStreamUnary(method)

    def stream_stream(
        self, method: str, *_args: Any, **_options: Any
    ) -> StreamStreamMultiCallable[Any, Any]:
        """Let the stub be made; calling the method is refused."""
        return _RefusedStreamStream(method)

    async def close(self, grace: float | None = None) -> None:
        """Take no more calls; give those running `grace` seconds, then cancel them."""
        self._is_closed = True
        if grace and self._running:
            waits = [asyncio.ensure_future(e.wait_finished()) for e in self._running]
            _done, late = await asyncio.wait(waits, timeout=grace)
            for wait in late:
                wait.cancel()
        for exchange in tuple(self._running):
            exchange.abandon(_CLOSING)
        self._closed.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """READY until it is closed."""
        del try_to_connect
        state = grpc.ChannelConnectivity
        return state.SHUTDOWN if self._is_closed else state.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the channel is closed, the one change there is."""
        if last_observed_state is self.get_state():
            await self._closed.wait()

    async def channel_ready(self) -> None:
        """Return at once: a process is always connected to itself."""

    def start(self, request: bytes, timeout: float | None, metadata: Any, run: "_Run") -> Exchange:
        """Start one call in a task and an empty context of its own."""
        if self._is_closed:
            raise UsageError("Channel is closed.")
        loop = asyncio.get_running_loop()
        running = self._running
        exchange = Exchange(
            loop, timeout, checked_metadata(metadata), self._message_bytes_max, running.discard
        )
        running.add(exchange)
        exchange.task = loop.create_task(run(exchange, request), context=Context())
        return exchange

    def served(self, path: str) -> ServedMethod | None:
        """The method at a path, looked up at each call: stubs may be made before it is there."""
        return self._registry.method(path)

    @property
    def message_bytes_max(self) -> int:
        """How large a message may be, in either direction."""
        return self._message_bytes_max


_Run = Callable[[Exchange, bytes], Coroutine[Any, Any, None]]


class _Method(ABC):
    """One method of a stub: finds its handler and runs it for each call."""

    def __init__(
        self,
        channel: InProcessChannel,
        path: str,
        serializer: Callable[[Any], bytes] | None,
        deserializer: Callable[[bytes], Any] | None,
    ) -> None:
        self._channel = channel
        self._path = path
        self._serialize = serializer or bytes
        self._deserialize = deserializer or bytes

    def _start(self, request: Any, timeout: float | None, metadata: Any) -> Exchange:
        # Serialized here and now: what the caller does to the request next is its own affair.
        return self._channel.start(self._serialize(request), timeout, metadata, self._run)

    async def _run(self, exchange: Exchange, raw: bytes) -> None:
        try:
            method = self._channel.served(self._path)
            if method is None:
                exchange.finish(FinalStatus(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"))
            elif len(raw) > self._channel.message_bytes_max:
                limit = self._channel.message_bytes_max
                exchange.finish(too_large("SERVER", len(raw), limit))
            else:
                await self._answer(exchange, method, raw)
        except AbortError:
            return
        finally:
            # Nothing may leave a caller waiting, not even a fault in this file.
            if exchange.status is None:
                exchange.finish(FinalStatus(grpc.StatusCode.UNKNOWN, "the handler gave no status"))

    @abstractmethod
    async def _answer(self, exchange: Exchange, method: ServedMethod, raw: bytes) -> None:
        """Run the method and settle the exchange."""


class _UnaryUnary(_Method, UnaryUnaryMultiCallable[Any, Any]):
    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        **_network_options: Any,
    ) -> InProcessUnaryCall:
        return InProcessUnaryCall(self._start(request, timeout, metadata))

    async def _answer(self, exchange: Exchange, method: ServedMethod, raw: bytes) -> None:
        context = InProcessContext(exchange, method.serialize_response)
        response = await method.serve(method.parse_request(raw), context)
        if exchange.status is not None:
            return
        status = context.final_status()
        if status.code is grpc.StatusCode.OK:
            answer = method.serialize_response(response)
            if len(answer) > exchange.response_bytes_max:
                status = too_large("CLIENT", len(answer), exchange.response_bytes_max)
            else:
                exchange.response = self._deserialize(answer)
        exchange.finish(status)


class _UnaryStream(_Method, UnaryStreamMultiCallable[Any, Any]):
    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        **_network_options: Any,
    ) -> InProcessStreamCall:
        return InProcessStreamCall(self._start(request, timeout, metadata), self._deserialize)

    async def _answer(self, exchange: Exchange, method: ServedMethod, raw: bytes) -> None:
        context = InProcessContext(exchange, method.serialize_response)
        await method.serve(method.parse_request(raw), context)
        exchange.finish(context.final_status())


class _Refused:
    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise UsageError(f"{self._path} streams requests, which Switchyard's services do not take")


class _RefusedStreamUnary(_Refused, StreamUnaryMultiCallable[Any, Any]):
    pass


class _RefusedStreamStream(_Refused, StreamStreamMultiCallable[Any, Any]):
    pass
