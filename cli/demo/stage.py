"""What every part of the demo stands on: a running system, and steps that hold or end it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.core.v1.money_pb2 import Money as MoneyMessage

from services.kernel.errors import SwitchyardError
from services.kernel.money import Currency, Money
from services.runtime.rpc import connect
from services.runtime.run_file import NotRunning, RunFile
from services.runtime.settings import Settings

_READY_SECONDS: Final = 60.0
_LAST_LINES: Final = 20
_PROCESSORS: Final = """
[[processors]]
id = "simulated"
adapter = "simulated"

[[processors]]
id = "simulated_euro"
adapter = "simulated"
currencies = ["EUR"]
"""


class DemoFailed(click.ClickException):
    """A step showed something else than it should."""


@contextmanager
def running(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`payment-cli serve` with everything, from ready until it has ended.

    What it has logged last is shown if the demo fails.
    """
    processors_file = home.parent / "processors.toml"
    processors_file.write_text(_PROCESSORS)
    log = home.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- ourselves
            [sys.executable, "-m", "cli", "serve", "--home", str(home), "--grpc-port", "0"],
            env=_environment() | {"PROCESSORS_FILE": str(processors_file)},
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_ready(process, home)
        yield process
    except (DemoFailed, SwitchyardError):
        click.echo("".join(log.read_text().splitlines(keepends=True)[-_LAST_LINES:]), err=True)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def channel_to(home: Path) -> Channel:
    run = RunFile.read(home)
    return connect(run.grpc_address, token=run.grpc_token)


def step(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def say(text: str) -> None:
    click.echo(f"  {text}")


def expect(holds: bool, text: str) -> None:
    """Say what holds, or end the demo because it does not."""
    if not holds:
        raise DemoFailed(f"this does not hold: {text}")
    say(f"{click.style('ok', fg='green')} {text}")


def readable(amount: MoneyMessage) -> str:
    return str(Money(amount.amount_minor, Currency(amount.currency)))


def _environment() -> dict[str, str]:
    """The environment without settings, so that nobody's own database is shown around in."""
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in ours}


def _wait_until_ready(process: subprocess.Popen[bytes], home: Path) -> None:
    started_at = time.monotonic()
    while not _answers(home, process.pid):
        if process.poll() is not None or time.monotonic() - started_at > _READY_SECONDS:
            raise DemoFailed("it did not start")
        time.sleep(0.05)
    say(f"ready after {time.monotonic() - started_at:.1f} s")


def _answers(home: Path, pid: int) -> bool:
    try:
        return RunFile.read(home).pid == pid
    except NotRunning:
        return False
