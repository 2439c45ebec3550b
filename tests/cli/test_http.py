"""`payment-cli serve` as merchants meet it: HTTP beside the services, or in its own process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from services.runtime.run_file import RunFile
from tests.cli.conftest import run_cli, serving
from tests.cli.everything import clean_environment
from tests.conftest import DatabaseUrls

_TOKEN = "a-token-that-the-processes-share-0123456789"  # noqa: S105 -- of these processes alone
_SERVICES = (
    *("access", "merchant_config", "plan_builder", "orchestrator", "ledger", "webhooks"),
    *("processor", "router"),
)


def test_http_is_answered_beside_the_services(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    variables = {"DATABASE_URL": database_urls.application}
    with serving(short_tmp_path, "--http-port", "0", **variables) as process:
        run = RunFile.read(short_tmp_path)
        assert run.http_url is not None
        assert httpx.get(f"{run.http_url}/readyz").json() == {"status": "ok"}
        made = run_cli("keys", "create", "--admin", "--name", "ops", "--home", str(short_tmp_path))
        shown = {"Authorization": f"Bearer {made.stdout.strip()}"}
        listed = httpx.get(f"{run.http_url}/api/v1/payments", headers=shown)
        assert listed.json()["data"] == []
    assert process.returncode == 0


def test_without_a_port_there_is_no_http(home: Path) -> None:
    assert RunFile.read(home).http_url is None


def test_a_gateway_alone_needs_no_database(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    shared = {"DATABASE_URL": database_urls.application, "GRPC_TOKEN": _TOKEN}
    with serving(short_tmp_path, *_SERVICES, **shared):
        address = RunFile.read(short_tmp_path).grpc_address
        where = ",".join(f"{name}={address}" for name in _SERVICES)
        with _gateway(GRPC_TOKEN=_TOKEN, SERVICE_ADDRESSES=where) as url:
            assert httpx.get(f"{url}/readyz").json() == {"status": "ok"}
            assert httpx.get(f"{url}/api/v1/payments").status_code == 401


def test_a_gateway_alone_says_what_it_needs_to_know(short_tmp_path: Path) -> None:
    home = ("--home", str(short_tmp_path))
    refused = run_cli("serve", "gateway", *home)
    assert (refused.returncode, "GRPC_TOKEN" in refused.stderr) == (1, True)
    refused = run_cli("serve", "gateway", *home, GRPC_TOKEN=_TOKEN)
    assert (refused.returncode, "SERVICE_ADDRESSES" in refused.stderr) == (1, True)


def test_a_port_of_http_that_is_taken_is_one_line(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = run_cli(
            "serve", "--home", str(short_tmp_path), "--grpc-port", "0",
            "--http-port", str(taken.getsockname()[1]),
            DATABASE_URL=database_urls.application,
        )  # fmt: skip
    assert finished.returncode == 1
    assert "HTTP_PORT" in finished.stderr


@contextmanager
def _gateway(**variables: str) -> Iterator[str]:
    """A gateway in a process of its own, by its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "gateway", "--http-port", "0"],
        env=clean_environment(**variables) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("ready: HTTP at http://"), ready
    yield ready.split()[3].rstrip(",")
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
