"""payment-cli up, where everything that it would bring along is somewhere else already."""

import asyncio
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import confluent_kafka
import pytest

from tests.cli.everything import Up, clean_environment, up
from tests.conftest import DatabaseUrls, short_folder
from tests.messaging.engines import mock_engine

_WEBHOOK_SECRET = "whsec_of-an-account-elsewhere"  # noqa: S105 -- of the sandbox below
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Elsewhere:
    """A system on foreign ground, and the ground."""

    up: Up
    database: DatabaseUrls
    account_url: str
    brokers: str
    traces: list[bytes]
    http_port: int
    paid: dict[str, Any]


@pytest.fixture(scope="module")
def elsewhere(empty_database: DatabaseUrls) -> Iterator[Elsewhere]:
    """A database that nobody has migrated, an account that webhooks come from, a broker."""
    database, http_port = empty_database.named("up_elsewhere"), _free_port()
    with asyncio.Runner() as runner:
        create = "create database up_elsewhere owner switchyard_owner"
        runner.run(_as_superuser(empty_database, create))
    kafka = mock_engine()
    assert kafka.bootstrap is not None
    with (
        short_folder() as folder,
        _account(folder / "account", http_port) as account_url,
        _collector() as (collector_url, traces),
    ):
        variables = {
            "DATABASE_URL": database.application,
            "DATABASE_OWNER_URL": database.owner,
            "STRIPE_API_KEY": "sk_test_elsewhere",
            "STRIPE_WEBHOOK_SECRET": _WEBHOOK_SECRET,
            "STRIPE_API_BASE": account_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "API_BASE_URL": "https://pay.shop.example",
            "HTTP_PORT": str(http_port),
            "LOG_LEVEL": "warning",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector_url,
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_SERVICE_NAME": "till",
        }
        with up(folder / "home", **variables) as running:
            paid = _call(running, "/api/v1/payments", {"amount": 1250, "method": "pm_card_visa"})
            yield Elsewhere(
                running, database, account_url, kafka.bootstrap, traces, http_port, paid
            )
    kafka.close()


def test_it_migrates_the_database_that_is_set_and_keeps_payments_there(
    elsewhere: Elsewhere,
) -> None:
    assert elsewhere.paid["status"] == "captured"
    assert elsewhere.up.run["database_url"] == elsewhere.database.application
    query = "select count(*) from payments.payments"
    with asyncio.Runner() as runner:
        assert runner.run(_value(elsewhere.database.owner, query)) == 1
    assert not (elsewhere.up.log.parent / "home" / "postgres").exists()


def test_it_pays_with_the_key_that_is_set_where_the_base_says(elsewhere: Elsewhere) -> None:
    assert elsewhere.up.run["sandbox_url"] is None
    assert elsewhere.up.run["stripe_webhook_secret"] == _WEBHOOK_SECRET
    record = _get(f"{elsewhere.account_url}/_sandbox/record?account=sk_test_elsewhere")
    (charge,) = record["charges"]
    assert (charge["amount"], charge["captured"]) == (1250, True)


def test_webhooks_that_the_secret_signs_are_taken(elsewhere: Elsewhere) -> None:
    query = "select count(*) from webhooks.webhook_events where signature_verified"
    with asyncio.Runner() as runner:
        _eventually(lambda: runner.run(_value(elsewhere.database.owner, query)) > 0)


def test_events_go_to_the_brokers_that_are_set(elsewhere: Elsewhere) -> None:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": elsewhere.brokers,
            "group.id": "onlooker",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["payment.events"])
    payment_id = elsewhere.paid["id"].encode()

    def is_told() -> bool:
        message = consumer.poll(1.0)
        return message is not None and message.error() is None and message.key() == payment_id

    _eventually(is_told)
    consumer.close()


def test_traces_go_to_the_collector_that_is_set(elsewhere: Elsewhere) -> None:
    def is_told() -> bool:
        sent = b"".join(elsewhere.traces)
        return b"till" in sent and b"ExecutePlan" in sent

    _eventually(is_told)


def test_links_lead_to_the_address_that_is_set(elsewhere: Elsewhere) -> None:
    document = _get(f"http://127.0.0.1:{elsewhere.http_port}/openapi.json")
    assert document["servers"] == [{"url": "https://pay.shop.example"}]


def test_the_log_has_nothing_below_the_level_that_is_set(elsewhere: Elsewhere) -> None:
    assert '"level": "info"' not in elsewhere.up.said.replace('":"', '": "')


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        (
            {"STRIPE_API_BASE": "http://127.0.0.1:12111"},
            "STRIPE_API_BASE is set and STRIPE_API_KEY is not",
        ),
        ({"STRIPE_API_KEY": "sk_live_0123"}, "STRIPE_ALLOW_LIVE_KEYS"),
        ({"HTTP_PORT": "70000"}, "HTTP_PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    short_tmp_path: Path, database_urls: DatabaseUrls, variables: dict[str, str], line: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "up", "--home", str(short_tmp_path), "--grpc-port", "0"],
        env=clean_environment(DATABASE_URL=database_urls.application, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert line in ended.stderr
    assert "Traceback" not in ended.stderr


@contextmanager
def _account(folder: Path, http_port: int) -> Iterator[str]:
    """A sandbox in a process of its own, as Stripe would be."""
    hook = f"http://127.0.0.1:{http_port}/api/v1/webhooks/stripe"
    options = ("--port", "0", "--webhook-url", hook, "--webhook-secret", _WEBHOOK_SECRET)
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--data", str(folder), *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        yield ready.split(" ready on ")[1].split(",")[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def _collector() -> Iterator[tuple[str, list[bytes]]]:
    """What takes OTLP over HTTP, and what it was sent."""
    sent: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                packed = self.headers.get("Content-Encoding") == "gzip"
                sent.append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()
    server.server_close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _as_superuser(database: DatabaseUrls, statement: str) -> None:
    connection = await asyncpg.connect(database.owner, user="postgres")
    await connection.execute(statement)
    await connection.close()


async def _value(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def _call(running: Up, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {running.run['merchant']['api_key']}"}
    return _get(running.run["http_url"] + path, json.dumps(body).encode(), headers)


def _get(
    url: str, data: bytes | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(url, data, headers or {})  # noqa: S310 -- our own address
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        answer: dict[str, Any] = json.loads(response.read())
        return answer


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.1)
