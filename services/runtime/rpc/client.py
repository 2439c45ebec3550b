"""The caller's side: channels whose calls carry the token, request id, trace and a deadline.

The same wrapping goes around a network channel and the in-process one, so that a stub behaves alike
on both. What a caller passes itself is never overridden.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import (
    Channel,
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamCall,
    UnaryStreamMultiCallable,
    UnaryUnaryCall,
    UnaryUnaryMultiCallable,
)

from services.runtime.rpc.address import require_loopback_or_tls
from services.runtime.rpc.deadline import remaining_seconds
from services.runtime.rpc.errors import ChannelError
from services.runtime.rpc.in_process.channel import InProcessChannel
from services.runtime.rpc.limits import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, MESSAGE_BYTES_MAX
from services.runtime.rpc.middleware import AUTHORIZATION_KEY, REQUEST_ID_KEY, TRACEPARENT_KEY
from services.runtime.rpc.registry import Registry
from services.runtime.rpc.stream_call import OwnedStreamCall
from services.runtime.telemetry import bound, current_traceparent

DEFAULT_TIMEOUT_SECONDS = 30.0
# gRPC reads a timeout of nothing as no deadline at all.
_TIMEOUT_SECONDS_MIN = 0.001

Pairs = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True)
class ClientTls:
    """How to know the server: by the certificates in a file, or by those that the system trusts."""

    root_certificates: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials for a channel."""
        if self.root_certificates is None:
            return grpc.ssl_channel_credentials()
        try:
            return grpc.ssl_channel_credentials(self.root_certificates.read_bytes())
        except OSError as error:
            raise ChannelError(f"cannot read the TLS root certificates: {error}") from error


def connect(
    address: str,
    *,
    token: str,
    tls: ClientTls | None = None,
    default_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> Channel:
    """A channel to the services at host:port; it connects with the first call, again as needed."""
    require_loopback_or_tls(address, has_tls=tls is not None)
    options = (
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    )
    network = (
        grpc.aio.insecure_channel(address, options)
        if tls is None
        else grpc.aio.secure_channel(address, tls.credentials(), options)
    )
    return CallingChannel(
        network,
        headers=((AUTHORIZATION_KEY, f"Bearer {token}"),),
        default_timeout_seconds=default_timeout_seconds,
    )


def connect_in_process(
    registry: Registry,
    *,
    default_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> Channel:
    """A channel to the services of this process."""
    return CallingChannel(
        InProcessChannel(registry, message_bytes_max=message_bytes_max),
        default_timeout_seconds=default_timeout_seconds,
    )


class CallingChannel(Channel):
    """A channel whose calls say who calls, for which request, in which trace, until when."""

    def __init__(
        self,
        inner: Channel,
        *,
        headers: Pairs = (),
        default_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        self._inner = inner
        self._headers = tuple(headers)
        self._default_timeout_seconds = default_timeout_seconds

    def timeout_seconds(self, given: float | None) -> float:
        """The caller's own timeout; else the default, cut to what the call at hand has left."""
        if given is not None:
            return given
        left = remaining_seconds()
        if left is None:
            return self._default_timeout_seconds
        return max(min(left, self._default_timeout_seconds), _TIMEOUT_SECONDS_MIN)

    def metadata(self, given: Pairs | None) -> Pairs:
        """The caller's metadata and what it does not say itself."""
        ours = [*self._headers]
        if request_id := bound().get("request_id"):
            ours.append((REQUEST_ID_KEY, request_id))
        if traceparent := current_traceparent():
            ours.append((TRACEPARENT_KEY, traceparent))
        if not given:
            return ours
        theirs = {key for key, _ in given}
        return [*given, *(pair for pair in ours if pair[0] not in theirs)]

    def unary_unary(
        self, method: str, *args: Any, **options: Any
    ) -> UnaryUnaryMultiCallable[Any, Any]:
        """Make what a stub calls for a method with one request and one response."""
        return _CallingUnary(self, self._inner.unary_unary(method, *args, **options))

    def unary_stream(
        self, method: str, *args: Any, **options: Any
    ) -> UnaryStreamMultiCallable[Any, Any]:
        """Make what a stub calls for a method that answers with a stream."""
        return _CallingStream(self, self._inner.unary_stream(method, *args, **options))

    def stream_unary(
        self, method: str, *args: Any, **options: Any
    ) -> StreamUnaryMultiCallable[Any, Any]:
        """Pass on as it is: no service here takes a stream."""
        return self._inner.stream_unary(method, *args, **options)

    def stream_stream(
        self, method: str, *args: Any, **options: Any
    ) -> StreamStreamMultiCallable[Any, Any]:
        """Pass on as it is: no service here takes a stream, reflection apart."""
        return self._inner.stream_stream(method, *args, **options)

    async def close(self, grace: float | None = None) -> None:
        """Take no more calls; give those running `grace` seconds, then cancel them."""
        await self._inner.close(grace)

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
        """Whether the channel is connected."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another one."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        await self._inner.channel_ready()


class _CallingUnary(UnaryUnaryMultiCallable[Any, Any]):
    def __init__(self, channel: CallingChannel, inner: Callable[..., Any]) -> None:
        self._channel = channel
        self._inner = inner

    def __call__(
        self, request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any
    ) -> UnaryUnaryCall[Any, Any]:
        channel = self._channel
        call: UnaryUnaryCall[Any, Any] = self._inner(
            request,
            timeout=channel.timeout_seconds(timeout),
            metadata=channel.metadata(metadata),
            **options,
        )
        return call


class _CallingStream(UnaryStreamMultiCallable[Any, Any]):
    def __init__(self, channel: CallingChannel, inner: Callable[..., Any]) -> None:
        self._channel = channel
        self._inner = inner

    def __call__(
        self, request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any
    ) -> UnaryStreamCall[Any, Any]:
        channel = self._channel
        call = self._inner(
            request,
            timeout=channel.timeout_seconds(timeout),
            metadata=channel.metadata(metadata),
            **options,
        )
        return OwnedStreamCall(call)
