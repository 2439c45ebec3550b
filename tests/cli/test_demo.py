"""`payment-cli demo`: what it shows, whose database it leaves alone, and that it can fail."""

import os
from collections.abc import Sequence

import asyncpg
import pytest
from click.testing import CliRunner

from cli.demo import payment
from cli.main import main
from tests.cli.conftest import run_cli
from tests.conftest import DatabaseUrls

_SHOWN = (
    "refused: the configuration breaks a rule at processors[0].processor_id",
    "simulated kept (rule:cards-at-home)",
    "simulated_euro rejected (currency.unsupported)",
    "authorized -> captured",
    "platform:fees                                              3.20 USD",
    "the entries sum to zero",
    "answered with the first answer, to the byte",
    "the key was used before and differs in amount",
    'the customer reads: "Card declined due to insufficient funds"',
    "confirming -> failed",
    "the payment's key still gets its first answer",
    "the journal is intact",
    "Everything was as it should be.",
)


async def test_it_shows_a_payment_from_the_configuration_to_the_books(
    database_urls: DatabaseUrls,
) -> None:
    finished = run_cli("demo", PATH=os.environ["PATH"], DATABASE_URL=database_urls.application)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert _missing(finished.stdout, _SHOWN) == []
    # What is set for another system is not where the demo happens.
    connection = await asyncpg.connect(database_urls.owner)
    assert await connection.fetchval("select count(*) from payments.payments") == 0
    await connection.close()


def test_a_step_that_does_not_hold_ends_it_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payment, "_EMPTY_CARD", "pm_card_visa")
    finished = CliRunner().invoke(main, ["demo"])
    assert finished.exit_code == 1
    assert "Error: this does not hold: failed" in finished.stderr
    assert '"event":' in finished.stderr, "what the process logged is shown"
    assert "Everything was as it should be." not in finished.stdout


def _missing(text: str, lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line not in text]
