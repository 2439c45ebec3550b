"""payment-cli up, as somebody runs it who has nothing set up."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.everything import call, up


def test_a_payment_is_made_with_nothing_set_up_and_is_there_after_a_restart(
    short_tmp_path: Path,
) -> None:
    home = short_tmp_path / "home"
    with up(home) as first:
        run = first.run
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
    command = [sys.executable, "-m", "cli", "up", "--home", str(short_tmp_path), option, "70000"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
