"""`payment-cli demo`: what it shows, whose database it leaves alone, and that it can fail."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from cli import demo
from cli.demo.outside import Bank, Processor
from cli.demo.platform import Platform
from cli.demo.scene import Screen, StepFailed
from cli.demo.shop import Shop
from cli.demo.stage import Stage
from cli.main import main
from tests.cli.conftest import run_cli
from tests.conftest import DatabaseUrls

_README = Path(__file__).parents[2] / "README.md"
_SCENES = {
    "A messy request is made strict": 'Method: "Visa" → "card" (method.network)',
    "The plan, and why": "northbank rejected: it does not take USD (currency.unsupported)",
    "Authorize": "the processor's own record holds it, untaken",
    "3-D Secure": "the webhook completed it",
    "Capture": "captured: 1234.50 USD, of which 36.10 USD is the platform's fee",
    "The ledger": "the entries sum to zero",
    "A processor goes down": "stripe could take it instead",
    "A lost reply": "lookup.found: the attempt succeeded",
    "A webhook comes twice": "it is known as a repeat",
    "Refunds": "409 already_refunded: all of 1234.50 USD was returned already",
    "The same key again": "for a request that differs in amount",
    "A dispute": "won: the funds are reinstated, the fee is not",
    "A crash": "the card was charged once",
    "Explain": "HTTP tells the same story",
    "The oracle": "the verdict",
}


async def test_every_scene_holds_and_nobodys_own_database_is_used(
    database_urls: DatabaseUrls,
) -> None:
    finished = run_cli("demo", DATABASE_URL=database_urls.application)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr
    shown = dict(_scenes(finished.stdout))
    assert list(shown) == list(_SCENES)
    missing = {title: line for title, line in _SCENES.items() if line not in shown[title]}
    assert missing == {}
    assert re.search(r"\d+ checks in 15 scenes held, in \d+ s", finished.stdout)
    assert "\x1b" not in finished.stdout, "what is piped has no colour"
    assert [line for line in _promised() if not line.search(finished.stdout)] == []
    connection = await asyncpg.connect(database_urls.owner)
    assert await connection.fetchval("select count(*) from payments.payments") == 0
    await connection.close()


def _promised() -> list[re.Pattern[str]]:
    """The lines that the README shows of it; … stands for what differs from run to run."""
    _, found, rest = _README.read_text().partition("<!-- from the demo -->\n```\n")
    assert found
    lines = rest.partition("\n```")[0].splitlines()
    patterns = [".*".join(map(re.escape, line.split("…"))) for line in lines if line]
    return [re.compile(f"^{each}$", re.MULTILINE) for each in patterns]


def _scenes(text: str) -> Iterator[tuple[str, str]]:
    """Each title with all that was shown beneath it."""
    parts = re.split(r"^ ?\d+  (.+)$", text, flags=re.MULTILINE)[1:]
    yield from zip(parts[::2], parts[1::2], strict=True)


class _WrongPlatform(BaseHTTPRequestHandler):
    """Takes every order for one of a cent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        payment = {
            "object": "payment",
            "id": "pay_1",
            "amount": 1,
            "currency": "USD",
            "capture_method": "manual",
            "validation_issues": [],
        }
        body = json.dumps(payment).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its word
        """Say nothing."""


def test_a_platform_that_does_otherwise_ends_it_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with _answering(_WrongPlatform) as url, Bank.running(tmp_path / "bank") as bank:

        @contextmanager
        def opened(screen: Screen) -> Iterator[Stage]:
            shop, processor = Shop(url, "syk_none"), Processor(bank.url)
            yield Stage(screen, Platform(tmp_path, bank.url), shop, processor, bank)
            raise AssertionError("it went on to the end")

        monkeypatch.setattr(demo, "opened", opened)
        finished = CliRunner().invoke(main, ["demo"])
    assert finished.exit_code == 1
    assert finished.stderr == (
        "payment-cli: scene 1, A messy request is made strict: StepFailed: it is 123450 minor"
        " units of USD now: (123450, 'USD', 'manual') was expected; but it saw"
        " (1, 'USD', 'manual')\n"
    )
    assert "scenes held" not in finished.stdout


@contextmanager
def _answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_never_comes_true_is_waited_for_and_then_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = iter(range(1_000))
    with Screen.on_terminal().scene("Waiting", "for what does not come") as scene:
        assert scene.wait("it is three", lambda: next(seen), lambda found: found == 3) == 3
        monkeypatch.setattr("cli.demo.scene._PATIENCE_SECONDS", 0.1)
        with pytest.raises(StepFailed, match="it is less, within"):
            scene.wait("it is less", lambda: next(seen), lambda found: found < 3)
