"""The HTTP server: granian, in the loop of the services, on a port that is bound before it starts.

Embedded, since every hop is then a function call in one loop. It is stopped in order: no connection
is taken any more, what runs is answered, and what runs too long is cut off.
"""

import asyncio
import socket
from typing import Any, Final, Self

import structlog
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from grpc.aio import Channel
from starlette.types import ASGIApp

from gateway.app import build_app
from gateway.means import Means, Services
from services.kernel.clock import Clock, SystemClock
from services.runtime.settings import Settings
from services.runtime.startup import StartupError
from services.runtime.telemetry import Telemetry

DEFAULT_PORT: Final = 8080
_BACKLOG: Final = 2048
# So many requests at a time; more wait in the listen queue, where waiting costs nothing.
_CONCURRENT_MAX: Final = 2048
_HEADER_BYTES_MAX: Final = 64 * 1024

_log = structlog.get_logger()


class _BoundServer(Server):
    """Granian on a socket that is bound and listens already, so that its port is known."""

    def __init__(self, app: ASGIApp, listener: socket.socket, idle_seconds: int) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                # Its clock runs from the end of the last answer, and so closes idle connections.
                header_read_timeout=idle_seconds * 1_000,
                max_buffer_size=_HEADER_BYTES_MAX,
            ),
            websockets=False,
            backlog=_BACKLOG,
            backpressure=_CONCURRENT_MAX,
            log_enabled=False,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        self._ssp: Any = None
        # The descriptor is the server's from here on: it closes it as it stops.
        holder: Any = SocketHolder  # its published types are not those of the built module
        self._shd = holder(self._listener.detach(), False, _BACKLOG)


class HttpServer:
    """A gateway that answers."""

    def __init__(self, server: _BoundServer, serving: asyncio.Task[None], url: str) -> None:
        self._server = server
        self._serving = serving
        self.url = url
        """Where it answers, as http://host:port."""

    @classmethod
    async def start(cls, app: ASGIApp, *, host: str, port: int, idle_seconds: int) -> Self:
        """Listen; port 0 takes any free one."""
        listener = _listen(host, port)
        bound_port = listener.getsockname()[1]
        server = _BoundServer(app, listener, idle_seconds)
        serving = asyncio.create_task(server.serve())
        # The queue takes connections already; this is for what goes wrong at once.
        await asyncio.sleep(0)
        if serving.done():
            serving.result()
        shown_host = f"[{host}]" if ":" in host else host
        return cls(server, serving, f"http://{shown_host}:{bound_port}")

    async def stop(self, drain_seconds: float) -> None:
        """Take no more; answer what runs, for so long at most. Again, it is no matter."""
        self._server.stop()  # type: ignore[no-untyped-call]  # granian has no types there
        done, _ = await asyncio.wait((self._serving,), timeout=drain_seconds)
        if not done:
            _log.warning("requests were cut off at the end of their time")
            self._serving.cancel()
            await asyncio.wait((self._serving,))


async def serve(
    channel: Channel | Services,
    settings: Settings,
    telemetry: Telemetry,
    *,
    clock: Clock | None = None,
) -> HttpServer:
    """Answer HTTP as the settings say, by the services that the channel leads to."""
    services = channel if isinstance(channel, Services) else Services.over(channel)
    base_url = str(settings.api_base_url or "").rstrip("/")
    means = Means.of(services, clock or SystemClock(), telemetry, base_url)
    port = DEFAULT_PORT if settings.http_port is None else settings.http_port
    return await HttpServer.start(
        build_app(means, base_url=base_url),
        host=settings.http_host,
        port=port,
        idle_seconds=settings.http_idle_seconds,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StartupError(
            f"cannot answer HTTP at {host}:{port}: {error.strerror}; stop the other program or"
            " choose another HTTP_PORT"
        ) from error
    listener.setblocking(False)
    return listener
