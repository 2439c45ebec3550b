"""payment-cli up, as somebody runs it who has nothing set up."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.run_file import RunFile
from tests.cli.everything import call, clean_environment, up


def test_a_payment_is_made_with_nothing_set_up_and_is_there_after_a_restart(
    short_tmp_path: Path,
) -> None:
    home = short_tmp_path / "home"
    with up(home) as first:
        run = first.run
        other = _up("--home", str(home))
        assert (other.returncode, other.stdout) == (1, "")
        assert other.stderr.startswith(f"payment-cli: payment-cli up runs in {home} already")
        paid = call(run, "/api/v1/payments", {"amount": "$12.50", "method": "pm_card_visa"})
        assert (paid["status"], paid["amount_captured"]) == ("captured", 1250)
        assert paid["result"]["step_results"][0]["processor_id"] == "stripe"
        assert run["other_merchant"]["id"] != run["merchant"]["id"]
        assert run["admin"]["api_key"]
        assert run["sandbox_url"].startswith("http://127.0.0.1:")
    with up(home) as second:
        again = second.run
        for who in ("merchant", "other_merchant", "admin"):
            assert again[who] == run[who]
        assert again["stripe_webhook_secret"] == run["stripe_webhook_secret"]
        found = call(again, f"/api/v1/payments/{paid['id']}")
        assert (found["status"], found["posting"]) == ("captured", "posted")


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port", "--sandbox-port"])
def test_a_port_that_is_none_is_said_to_be(short_tmp_path: Path, option: str) -> None:
    ended = _up("--home", str(short_tmp_path), option, "70000")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_home_that_cannot_be_made_is_one_line(short_tmp_path: Path, command: str) -> None:
    (short_tmp_path / "file").touch()
    home = short_tmp_path / "file" / "home"
    ended = _cli(command, "--home", str(home))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"payment-cli: {home} cannot be the home: Not a directory; choose another with --home\n"
    )


def test_a_port_of_http_that_is_taken_is_one_line_and_leaves_nothing_open(
    short_tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = ["--grpc-port", "0", "--http-port", str(taken.getsockname()[1])]
        ended = _up("--home", str(short_tmp_path / "home"), "--sandbox-port", "0", *ports)
    assert ended.returncode == 1
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, ended.stderr
    assert said[0].startswith("payment-cli: cannot answer HTTP at 127.0.0.1:")


def test_what_a_killed_system_left_behind_leads_to_a_line_that_says_so(
    short_tmp_path: Path,
) -> None:
    RunFile(pid=1, grpc_address="127.0.0.1:1", grpc_token="t" * 32, database_url="").write(
        short_tmp_path
    )
    ended = _cli("payments", "list", "--home", str(short_tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("payment-cli: nobody answers where run.json says")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "listed"), [((), "webhook-gaps"), (("dlq",), "replay"), (("ledger",), "statement")]
)
def test_no_sentence_of_a_list_of_commands_is_cut_off(words: tuple[str, ...], listed: str) -> None:
    commands = _cli(*words, "--help").stdout.partition("Commands:")[2]
    assert listed in commands
    assert "..." not in commands


def _up(*options: str) -> "subprocess.CompletedProcess[str]":
    return _cli("up", *options)


def _cli(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
