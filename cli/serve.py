"""payment-cli serve: runs services in the foreground until it is told to stop."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import click
import uvloop

from cli.gateway import gateway_alone
from cli.home import make_home
from gateway.means import Services
from gateway.server import HttpServer
from gateway.server import serve as serve_http
from services.runtime.garbage import calm_garbage_collection
from services.runtime.rpc import GrpcServer, ServerTls
from services.runtime.run_file import RunFile
from services.runtime.settings import Settings, load_settings
from services.runtime.startup import StartupError
from services.runtime.telemetry import MetricsEndpoint, configure_logging
from services.system import SERVICES, System, open_system

_DRAIN_SECONDS: Final = 10.0
_GATEWAY: Final = "gateway"

Enrich = Callable[[RunFile, System], Awaitable[RunFile]]


@click.command(epilog=f"Services: {', '.join((*SERVICES, _GATEWAY))}.")
@click.argument("names", nargs=-1, metavar="[SERVICE]...")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where run.json, and the embedded database, live.",
)
@click.option("--grpc-port", type=int, help="The port to listen on; 0 takes any free one.")
@click.option("--http-port", type=int, help="Answer HTTP there; 0 takes any free one.")
@click.option("--metrics-port", type=int, help="Serve /metrics there; 0 takes any free one.")
def serve(
    names: tuple[str, ...],
    home: Path | None,
    grpc_port: int | None,
    http_port: int | None,
    metrics_port: int | None,
) -> None:
    """Run the services named, or all of them, in this process.

    With --http-port, or "gateway" among the names, merchants are answered over HTTP as well; named
    alone, the gateway reaches every service where SERVICE_ADDRESSES has it.

    SIGTERM or Ctrl-C drains: calls that run are answered, new ones are sent away.
    """
    settings = load_settings(
        switchyard_home=home, grpc_port=grpc_port, http_port=http_port, metrics_port=metrics_port
    )
    configure_logging("switchyard", level=settings.log_level)
    calm_garbage_collection()
    if names == (_GATEWAY,):
        uvloop.run(_serve_gateway_alone(settings))
        return
    has_gateway = settings.http_port is not None or _GATEWAY in names
    services = tuple(name for name in names if name != _GATEWAY)
    uvloop.run(run_services(settings, services or tuple(SERVICES), has_gateway=has_gateway))


async def _serve_gateway_alone(settings: Settings) -> None:
    stop = _told_to_stop()
    async with gateway_alone(settings) as http:
        click.echo(f"ready: HTTP at {http.url}, described at {http.url}/docs")
        await stop.wait()
        click.echo("stopping: requests that run are answered first")


def _told_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _as_it_is(run: RunFile, _system: System) -> RunFile:
    return run


async def run_services(
    settings: Settings, names: Sequence[str], *, has_gateway: bool, enrich: Enrich = _as_it_is
) -> None:
    """Run services until told to stop; `enrich` adds to run.json what the caller knows beside."""
    stop = _told_to_stop()
    home = settings.switchyard_home
    make_home(home)
    async with (
        open_system(settings, names) as system,
        _doors(settings, system, has_gateway=has_gateway) as known,
    ):
        run = await enrich(known, system)
        run.write(home)
        _say(run, names, home)
        await stop.wait()
        click.echo("stopping: calls that run are answered first")
        run.remove(home)


@asynccontextmanager
async def _doors(
    settings: Settings, system: System, *, has_gateway: bool
) -> AsyncIterator[RunFile]:
    """Metrics, gRPC and HTTP as far as they are wanted, opened in turn and closed in reverse."""
    async with AsyncExitStack() as doors:
        metrics = _start_metrics(settings, system)
        if metrics is not None:
            doors.push_async_callback(asyncio.to_thread, metrics.stop)
        server = GrpcServer(system.registry, tls=_tls(settings))
        port = await server.start(f"{settings.grpc_host}:{settings.grpc_port}")
        doors.push_async_callback(server.stop, _DRAIN_SECONDS)
        http = await _start_http(settings, system) if has_gateway else None
        if http is not None:
            doors.push_async_callback(http.stop, _DRAIN_SECONDS)
        yield RunFile(
            pid=os.getpid(),
            grpc_address=f"{settings.grpc_host}:{port}",
            grpc_token=system.token,
            database_url=system.database_url,
            metrics_url=None if metrics is None else f"http://127.0.0.1:{metrics.port}/metrics",
            http_url=None if http is None else http.url,
        )


async def _start_http(settings: Settings, system: System) -> HttpServer:
    services = await Services.reached_by(system.channel_to)
    return await serve_http(services, settings, system.telemetry)


def _tls(settings: Settings) -> ServerTls | None:
    if settings.grpc_tls_certificate is None or settings.grpc_tls_key is None:
        return None
    return ServerTls(settings.grpc_tls_certificate, settings.grpc_tls_key)


def _start_metrics(settings: Settings, system: System) -> MetricsEndpoint | None:
    if settings.metrics_port is None:
        return None
    try:
        return MetricsEndpoint.start(system.telemetry.registry, settings.metrics_port)
    except OSError as error:
        raise StartupError(
            f"cannot serve metrics on port {settings.metrics_port}: {error.strerror};"
            " stop the other program or choose another METRICS_PORT"
        ) from error


def _say(run: RunFile, names: Sequence[str], home: Path) -> None:
    click.echo(f"ready: {', '.join(names)} at {run.grpc_address} (gRPC)")
    if run.http_url:
        click.echo(f"HTTP: {run.http_url}, described at {run.http_url}/docs")
    if run.metrics_url:
        click.echo(f"metrics: {run.metrics_url}")
    click.echo(f"the token and addresses are in {home / 'run.json'}; Ctrl-C stops")
