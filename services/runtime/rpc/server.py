"""The network server: the registry's handlers on a port, with health, reflection, a clean end."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from services.runtime.rpc.address import require_free, require_loopback_or_tls
from services.runtime.rpc.errors import ChannelError
from services.runtime.rpc.limits import (
    CONCURRENT_CALLS_MAX,
    KEEPALIVE_TIME_MS,
    KEEPALIVE_TIMEOUT_MS,
    MESSAGE_BYTES_MAX,
)
from services.runtime.rpc.registry import Registry


@dataclass(frozen=True)
class ServerTls:
    """The server's certificate chain and its private key, as PEM files."""

    certificate: Path
    key: Path

    def credentials(self) -> grpc.ServerCredentials:
        """The credentials for a port."""
        try:
            # gRPC takes anything here and then fails to bind, without a word about why.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
            pair = (self.key.read_bytes(), self.certificate.read_bytes())
        except ssl.SSLError as error:
            raise ChannelError(
                f"{self.certificate} and {self.key} are not a TLS certificate and its key"
            ) from error
        except OSError as error:
            raise ChannelError(f"cannot read the TLS certificate or key: {error}") from error
        return grpc.ssl_server_credentials([pair])


@dataclass(frozen=True)
class ServerLimits:
    """What one server takes on at a time."""

    message_bytes_max: int = MESSAGE_BYTES_MAX
    concurrent_calls_max: int = CONCURRENT_CALLS_MAX
    keepalive_time_ms: int = KEEPALIVE_TIME_MS
    keepalive_timeout_ms: int = KEEPALIVE_TIMEOUT_MS

    def options(self) -> tuple[tuple[str, int], ...]:
        """The limits as gRPC's options."""
        return (
            ("grpc.max_receive_message_length", self.message_bytes_max),
            ("grpc.keepalive_time_ms", self.keepalive_time_ms),
            ("grpc.keepalive_timeout_ms", self.keepalive_timeout_ms),
            ("grpc.keepalive_permit_without_calls", 1),
            # Clients ping as often as we do; gRPC would take that for abuse and hang up.
            ("grpc.http2.min_ping_interval_without_data_ms", self.keepalive_time_ms // 2),
            # Two servers on one port would share its calls instead of the second being refused.
            ("grpc.so_reuseport", 0),
        )


# How long answers that are on their way out get once the last handler has returned.
_FLUSH_SECONDS = 0.25


class GrpcServer:
    """Serves a registry on one port; started once, stopped once."""

    def __init__(
        self,
        registry: Registry,
        *,
        tls: ServerTls | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._registry = registry
        self._tls = tls
        self._limits = limits or ServerLimits()
        self._health = health_aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        registry.register(health_pb2_grpc.add_HealthServicer_to_server, self._health)

    async def start(self, address: str) -> int:
        """Listen on host:port and say which port it became; port 0 takes any free one."""
        require_loopback_or_tls(address, has_tls=self._tls is not None)
        require_free(address)
        credentials = self._tls.credentials() if self._tls else None
        server = grpc.aio.server(
            options=self._limits.options(),
            maximum_concurrent_rpcs=self._limits.concurrent_calls_max,
        )
        for service, methods in self._registry.services.items():
            handlers = {name: method.rpc_handler() for name, method in methods.items()}
            server.add_registered_method_handlers(service, handlers)
        names = (*self._registry.services, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        try:
            port = (
                server.add_secure_port(address, credentials)
                if credentials
                else server.add_insecure_port(address)
            )
        except RuntimeError as error:
            await server.stop(None)
            raise ChannelError(f"cannot listen on {address}: {error}") from error
        await server.start()
        self._server = server
        for service in self._registry.services:
            await self._health.set(service, HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Drain: report NOT_SERVING, refuse new calls, let those running end, then cancel them."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        gate = self._registry.middleware.gate
        gate.close()
        await gate.wait_until_empty(grace_seconds)
        await self._server.stop(_FLUSH_SECONDS)
        self._server = None
