"""`payment-cli ledger` against a running system: what it prints, and the code it leaves with."""

import asyncio
import json

import asyncpg

from tests.cli.conftest import Cli
from tests.conftest import DatabaseUrls

_SALE = ("CUSTOMER=-10.00", "MERCHANT=9.70", "PLATFORM=0.30")


def _posted(cli: Cli, key: str, *entries: str) -> dict[str, object]:
    finished = cli(
        "ledger", "post", "pay_1", *entries, "--idempotency-key", key, "--output", "json"
    )
    assert finished.returncode == 0, finished.stderr
    posted: dict[str, object] = json.loads(finished.stdout)
    return posted


def test_a_posted_transaction_is_shown_and_added_up(cli: Cli) -> None:
    transaction = _posted(cli, "shown", "A=-1.00", "B=0.60", "C=0.40")["transaction"]
    assert isinstance(transaction, dict)
    shown = cli("ledger", "show", transaction["id"])
    assert shown.returncode == 0
    assert "B                                                    0.60 USD" in shown.stdout
    balance = json.loads(cli("ledger", "balance", "B", "--output", "json").stdout)
    assert balance["amount"] == {"amount_minor": 60, "currency": "USD"}
    assert balance["entry_count"] == 1


def test_posting_again_under_the_same_key_writes_nothing(cli: Cli) -> None:
    assert not _posted(cli, "again", *_SALE)["replayed"]
    assert _posted(cli, "again", *_SALE)["replayed"]


def test_a_statement_pages(cli: Cli) -> None:
    for number in range(1, 4):
        _posted(cli, f"page {number}", f"PAGED={number}.00", f"OTHER=-{number}.00")
    first = json.loads(
        cli("ledger", "statement", "PAGED", "--limit", "2", "--output", "json").stdout
    )
    token = first["next_page_token"]
    rest = cli("ledger", "statement", "PAGED", "--page-token", token)
    assert [line["running_balance"]["amount_minor"] for line in first["lines"]] == [100, 300]
    assert "6.00 USD" in rest.stdout


def test_a_refusal_is_one_line_and_exit_code_1(cli: Cli) -> None:
    unbalanced = cli("ledger", "post", "pay_1", "A=-1.00", "B=0.99")
    assert unbalanced.returncode == 1
    assert unbalanced.stderr == "payment-cli: the entries do not sum to zero: USD -1\n"
    unknown = cli("ledger", "show", "ltx_019aa5a0000070008000000000000000")
    assert unknown.returncode == 1
    assert "there is no transaction" in unknown.stderr


def test_a_command_that_makes_no_sense_is_exit_code_2(cli: Cli) -> None:
    too_fine = cli("ledger", "post", "pay_1", "A=-1.001", "B=1.001")
    assert too_fine.returncode == 2
    assert "'-1.001' is no amount of USD: write it like 125.00" in too_fine.stderr
    assert cli("ledger", "post", "pay_1", "A").returncode == 2
    assert cli("ledger", "nonsense").returncode == 2


def test_an_intact_ledger_verifies_and_a_tampered_one_is_exit_code_4(
    cli: Cli, module_database_urls: DatabaseUrls
) -> None:
    _posted(cli, "verified", *_SALE)
    intact = cli("ledger", "verify")
    assert intact.returncode == 0
    assert "sum of all entries: 0.00 USD" in intact.stdout
    asyncio.run(_tamper(module_database_urls.owner))
    tampered = cli("ledger", "verify", "--output", "json")
    assert tampered.returncode == 4
    verdict = json.loads(tampered.stdout)
    assert verdict["state"] == "INTEGRITY_STATE_TAMPERED"
    # Whether the sealer had come by already, and finds its block changed, is up to its clock.
    kinds = {finding["kind"] for finding in verdict["findings"]}
    assert "INTEGRITY_FINDING_KIND_UNBALANCED" in kinds
    told = cli("ledger", "verify")
    assert "sum of all entries: 7 minor units of ZZZ\n" in told.stdout
    assert "tampered with: " in told.stdout


def test_a_verification_from_a_block_that_there_is_none_of_is_exit_code_2(cli: Cli) -> None:
    told = cli("ledger", "verify", "--from-block", "999")
    assert (told.returncode, told.stdout) == (2, "")
    assert "Invalid value for --from-block: there is no block 999, nor any after it" in told.stderr


async def _tamper(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("alter table ledger.ledger_entries disable trigger all")
    await owner.execute("update ledger.ledger_entries set amount = amount + 1 where account = 'C'")
    await owner.execute(
        "insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)"
        " values (gen_random_uuid(), 1, 'THIEF', 7, 'ZZZ')"
    )
    await owner.close()
