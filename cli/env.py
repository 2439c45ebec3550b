"""payment-cli env: where the running system is and what it is called with, for the shell.

`eval "$(payment-cli env)"` saves whoever tries things from copying addresses and keys out of
run.json.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from services.runtime.run_file import RunFile
from services.runtime.settings import load_settings


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the running system's run.json lies.",
)
def env(home: Path | None) -> None:
    """Print the running system's addresses and keys as shell variables.

    eval "$(payment-cli env)"

    Secrets among them are as good as run.json: for a shell of your own, not for a log.
    """
    run = RunFile.read(load_settings(switchyard_home=home).switchyard_home)
    for name, value in _variables(run).items():
        if value:
            click.echo(f"{name}={shlex.quote(value)}")


def _variables(run: RunFile) -> Mapping[str, str | None]:
    merchant, other, admin = run.merchant or {}, run.other_merchant or {}, run.admin or {}
    return {
        "URL": run.http_url,
        "GRPC": run.grpc_address,
        "TOKEN": run.grpc_token,
        "SANDBOX": run.sandbox_url,
        "MERCHANT": merchant.get("id"),
        "KEY": merchant.get("api_key"),
        "OTHER_MERCHANT": other.get("id"),
        "OTHER_KEY": other.get("api_key"),
        "ADMIN_KEY": admin.get("api_key"),
        "WEBHOOK_SECRET": run.stripe_webhook_secret,
    }
