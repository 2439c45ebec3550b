"""payment-cli up: the whole platform in the foreground, with nothing set up beforehand.

PostgreSQL is embedded unless DATABASE_URL is set; DATABASE_OWNER_URL lets `up` migrate that one.
Payments go to the sandbox unless STRIPE_API_KEY is set. Two merchants and an operator are there
from the first start, with keys that stay the same.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
import uvloop

from cli.client import Command
from cli.home import make_home, occupied
from cli.migrate import migrate_as_set
from cli.serve import run_services
from cli.up.sandbox_process import SandboxProcess
from cli.up.tenants import Tenants, settle_in
from services.runtime.garbage import calm_garbage_collection
from services.runtime.run_file import RunFile
from services.runtime.settings import Settings, SettingsError, load_settings
from services.runtime.telemetry import configure_logging
from services.system import SERVICES, System

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 50051
SANDBOX_PORT: Final = 12111

_PORT: Final = click.IntRange(0, 65_535)
_ANY: Final = "0 takes any free one."
_STRIPE_KEY: Final = "STRIPE_API_KEY"
_WEBHOOK_SECRET: Final = "STRIPE_WEBHOOK_SECRET"  # noqa: S105 -- the name of a variable


def _port_option(
    name: str, default: int, variable: str | None, whose: str
) -> Callable[[Command], Command]:
    return click.option(
        name,
        type=_PORT,
        default=default,
        envvar=variable,
        show_default=True,
        show_envvar=variable is not None,
        help=f"The port of {whose}; {_ANY}",
    )


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where run.json, and all that is kept, lives.",
)
@_port_option("--http-port", HTTP_PORT, "HTTP_PORT", "HTTP")
@_port_option("--grpc-port", GRPC_PORT, "GRPC_PORT", "gRPC")
@_port_option("--sandbox-port", SANDBOX_PORT, None, "the sandbox, which stands in for Stripe")
def up(home: Path | None, http_port: int, grpc_port: int, sandbox_port: int) -> None:
    """Run everything: database, processor, services and gateway. Ctrl-C stops all of it."""
    settings = load_settings(
        switchyard_home=home, grpc_port=grpc_port, http_port=http_port or _free_port()
    )
    make_home(settings.switchyard_home)
    configure_logging("switchyard", level=settings.log_level)
    calm_garbage_collection()
    with occupied(settings.switchyard_home):
        uvloop.run(_up(settings, sandbox_port))


async def _up(settings: Settings, sandbox_port: int) -> None:
    has_account = bool(os.environ.get(_STRIPE_KEY))
    if "stripe_api_base" in settings.model_fields_set and not has_account:
        raise SettingsError(
            "STRIPE_API_BASE is set and STRIPE_API_KEY is not: set a key of the account there,"
            " or neither of them for a sandbox"
        )
    if settings.database_owner_url is not None:
        await migrate_as_set(settings)
    if has_account:
        _warn_of_no_webhooks()
        await _run(settings, None)
        return
    hook = f"http://127.0.0.1:{settings.http_port}/api/v1/webhooks/stripe"
    folder = settings.switchyard_home / "sandbox"
    async with SandboxProcess.running(folder, sandbox_port, hook) as sandbox:
        # As if whoever runs this had set them.
        os.environ[_STRIPE_KEY] = sandbox.api_key
        os.environ[_WEBHOOK_SECRET] = sandbox.webhook_secret
        await _run(settings.model_copy(update={"stripe_api_base": sandbox.url}), sandbox)


async def _run(settings: Settings, sandbox: SandboxProcess | None) -> None:
    async def enrich(run: RunFile, system: System) -> RunFile:
        tenants = await settle_in(system.channel, settings.switchyard_home)
        _say(tenants)
        known = asdict(run) | asdict(tenants)
        if sandbox is not None:
            known["sandbox_url"] = str(sandbox.url).rstrip("/")
        known["stripe_webhook_secret"] = os.environ.get(_WEBHOOK_SECRET, "")
        return RunFile(**known)

    await run_services(settings, tuple(SERVICES), has_gateway=True, enrich=enrich)


def _warn_of_no_webhooks() -> None:
    if not os.environ.get(_WEBHOOK_SECRET):
        click.echo(f"{_WEBHOOK_SECRET} is not set: every webhook is refused")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(tenants: Tenants) -> None:
    click.echo(f"merchant {tenants.merchant['id']} calls with {tenants.merchant['api_key']}")
    click.echo(f"operators call with {tenants.admin['api_key']}")
