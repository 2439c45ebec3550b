"""The sandbox as a process: what it prints, how it stops, and what survives kill -9."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import stripe

Start = Callable[..., tuple["subprocess.Popen[str]", str]]

PAY = {
    "amount": 1000,
    "currency": "usd",
    "allowed_payment_method_types": ["card"],
    "payment_method": "pm_card_visa",
    "confirm": True,
}


def command(data: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(data), *more]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(data: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            command(data, *more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox: ready on http://127.0.0.1:"), process.communicate()
        return process, line.split()[3].rstrip(",")

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def client(url: str) -> Any:
    return stripe.StripeClient(
        "sk_test_process", base_addresses={"api": url}, max_network_retries=0
    ).v1


def record(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/_sandbox/record", timeout=30).json()
    return answer


def test_sync_sdk_pays_too(start: Start, tmp_path: Path) -> None:
    _, url = start(tmp_path)
    assert client(url).payment_intents.create(PAY).status == "succeeded"


def test_sigterm_stops_it_cleanly(start: Start, tmp_path: Path) -> None:
    process, _ = start(tmp_path)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_busy_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*command(tmp_path), "--port", port],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert f"port {port}" in ended.stderr


def test_another_seed_on_the_same_directory_is_refused(start: Start, tmp_path: Path) -> None:
    process, _ = start(tmp_path, "--seed", "5")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    ended = subprocess.run(
        command(tmp_path, "--seed", "6"), capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert "seed 5" in ended.stderr


def test_second_sandbox_on_the_same_directory_is_refused(start: Start, tmp_path: Path) -> None:
    first, url = start(tmp_path)
    refused = subprocess.run(
        command(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"sandbox: cannot start: another sandbox runs on {tmp_path}: stop it, or name another"
        " --data\n"
    )
    assert client(url).payment_intents.create(PAY).status == "succeeded"
    # It goes with its holder, also with one that had no time to let go.
    first.kill()
    _, url = start(tmp_path)
    assert len(record(url)["charges"]) == 1


def test_same_seed_gives_the_same_ids(start: Start, tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        _, url = start(tmp_path / name, "--seed", "5")
        ids.append([client(url).payment_intents.create(PAY).id for _ in range(3)])
    assert ids[0] == ids[1]


def test_what_was_answered_survives_kill_9(start: Start, tmp_path: Path) -> None:
    process, url = start(tmp_path)
    answered: list[str] = []

    def pay(worker: int) -> None:
        api = client(url)
        for number in range(1000):
            try:
                intent = api.payment_intents.create(PAY, {"idempotency_key": f"{worker}-{number}"})
            except stripe.APIConnectionError:
                return
            answered.append(intent.id)
            if len(answered) == 60:
                process.kill()

    workers = [Thread(target=pay, args=(worker,)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(answered) >= 60

    _, url = start(tmp_path)
    truth = record(url)
    paid = {each["payment_intent"] for each in truth["charges"] if each["state"] == "succeeded"}
    assert set(answered) <= paid
    # Nothing half done: a charge is there with its money, its intent, and its line in the record.
    assert len(truth["balance_transactions"]) == len(truth["charges"]) == len(paid)
    succeeded = {each["id"] for each in truth["payment_intents"] if each["state"] == "succeeded"}
    assert succeeded == paid
    assert {each["object_id"] for each in truth["attempts"]} == paid
    # A key that was answered before the crash is replayed after it.
    api = client(url)
    again = api.payment_intents.create(PAY, {"idempotency_key": "0-0"})
    assert again.id in paid
    assert record(url)["charges"] == truth["charges"]
    fresh = api.payment_intents.create(PAY)
    assert fresh.id not in paid


def test_faults_survive_a_restart(start: Start, tmp_path: Path) -> None:
    process, url = start(tmp_path)
    httpx.post(f"{url}/_sandbox/faults", json={"kind": "rate_limit", "count": 2})
    with pytest.raises(stripe.RateLimitError):
        client(url).payment_intents.create(PAY)
    process.kill()
    process.communicate()
    _, url = start(tmp_path)
    with pytest.raises(stripe.RateLimitError):
        client(url).payment_intents.create(PAY)
    assert client(url).payment_intents.create(PAY).status == "succeeded"


def test_it_dies_with_its_starter_only_when_told_to(start: Start, tmp_path: Path) -> None:
    tied, _ = start(tmp_path / "tied", "--dies-with-starter")
    free, url = start(tmp_path / "free")
    for process in (tied, free):
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None  # so that nobody waits to write to it
    assert tied.wait(30) == 1
    assert record(url)["charges"] == []
    assert free.poll() is None
