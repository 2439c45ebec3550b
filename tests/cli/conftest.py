"""A running system of the test's own, and payment-cli as an operator calls it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.runtime.run_file import NotRunning, RunFile
from tests.cli.everything import clean_environment
from tests.conftest import DatabaseUrls, short_folder

_READY_SECONDS = 60.0
_ENDED_SECONDS = 300.0

Cli = Callable[..., subprocess.CompletedProcess[str]]


def run_cli(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=_ENDED_SECONDS,
        check=False,
    )


@contextmanager
def serving(home: Path, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """`payment-cli serve` on free ports, from ready until it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", *arguments, "--home", str(home), "--grpc-port", "0"],
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait_until_ready(process, home)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _wait_until_ready(process: "subprocess.Popen[str]", home: Path) -> None:
    give_up_at = time.monotonic() + _READY_SECONDS
    while time.monotonic() < give_up_at:
        try:
            if RunFile.read(home).pid == process.pid:
                return
        except NotRunning:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"it did not start: {process.communicate()[0]}")


@pytest.fixture(scope="module")
def home(module_database_urls: DatabaseUrls) -> Iterator[Path]:
    """The home of a system that serves everything on a database that the module shares."""
    with (
        short_folder() as folder,
        serving(folder, "--metrics-port", "0", DATABASE_URL=module_database_urls.application),
    ):
        yield folder


@pytest.fixture(scope="module")
def cli(home: Path) -> Cli:
    """payment-cli, pointed at that system."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_cli(*arguments, SWITCHYARD_HOME=str(home))

    return run
