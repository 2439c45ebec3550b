"""`payment-cli plan`: one payment planned, recorded requests replayed, and what it refuses."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import Result

from services.kernel.ids import MerchantId
from tests.cli.in_process import Cli, cli_of, serving_processors
from tests.conftest import DatabaseUrls

_PROCESSORS = """
[[processors]]
id = "home"
adapter = "simulated"

[[processors]]
id = "backup"
adapter = "simulated"

[[processors]]
id = "euro"
adapter = "simulated"
currencies = ["EUR"]
"""
_TODAY = """
merchant_id: {merchant}
settings:
  default_currency: USD
  fees: {{basis_points: 290}}
  capture_method: automatic
  split_policy: all_or_nothing
  processors:
  - processor_id: home
  - processor_id: backup
  - processor_id: euro
"""
_TRIED = (
    _TODAY.replace("290", "250")
    + """
  routing_rules:
  - name: amex-to-backup
    match:
      card_networks: [american_express]
    targets:
    - processor_id: backup
  amount_limits:
  - max_amount: {{amount_minor: 50000, currency: USD}}
"""
)


@pytest.fixture(scope="module")
def home(module_database_urls: DatabaseUrls) -> Iterator[Path]:
    """The home of a system with three processors."""
    with serving_processors(_PROCESSORS, module_database_urls) as home:
        yield home


@pytest.fixture(scope="module")
def cli(home: Path) -> Cli:
    return cli_of(home)


def _configured(cli: Cli) -> MerchantId:
    """A new merchant with the configuration of today."""
    merchant = MerchantId.new()
    put = cli("config", "put", "-", given=_TODAY.format(merchant=merchant))
    assert put.exit_code == 0, put.stderr
    return merchant


@pytest.fixture(scope="module")
def merchant(cli: Cli) -> MerchantId:
    """A merchant with five payments; two by American Express, one of 900.00 USD."""
    merchant = _configured(cli)
    for amount, *more in (
        ("10",),
        ("55", "--network", "american_express"),
        ("75", "--network", "american_express"),
        ("40", "--currency", "EUR"),
        ("900",),
    ):
        paid = cli("pay", amount, "--merchant", merchant, *more)
        assert paid.exit_code == 0, paid.stderr
    return merchant


def _against(cli: Cli, merchant: str, *more: str, text: str = _TRIED) -> Result:
    words = ("plan", "--config", "-", "--against", "last:1000", *more)
    return cli(*words, given=text.format(merchant=merchant))


def test_one_payment_is_planned_with_its_reasons_and_not_made(
    cli: Cli, merchant: MerchantId
) -> None:
    words = ("plan", "12.50", "--currency", "EUR", "--country", "DE", "--merchant", merchant)
    planned = cli(*words)
    assert planned.stdout.splitlines() == [
        f"12.50 EUR for {merchant}, by version 1",
        "  planned for step 0, 12.50 EUR:",
        "    home kept: number 1 in order (order)",
        "    backup kept: number 2 in order (order)",
        "    euro kept: number 3 in order (order)",
        "  fee        0.36 EUR",
    ]
    made = json.loads(cli(*words, "--output", "json").stdout)
    assert made["total"] == {"amount_minor": 1250, "currency": "EUR"}
    assert cli("payments", "list", "--merchant", merchant).stdout.count("pay_") == 5
    unknown = cli("plan", "12.50", "--merchant", merchant, "--version", "9")
    assert (unknown.exit_code, "version 9" in unknown.stderr) == (1, True)


def test_a_replay_tells_what_would_move_be_refused_and_earn_less(
    cli: Cli, merchant: MerchantId
) -> None:
    told = _against(cli, merchant)
    assert told.exit_code == 0, told.stderr
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert lines[:5] == [
        "5 recorded requests: 5 would be handled otherwise",
        "2 would begin at another processor, in whole or in part",
        "1 would be refused: 900.00 USD",
        "0 are refused now and would be planned: -",
        "fees: -0.16 EUR, -26.66 USD",
    ]
    rows = (
        "home backup 2 130.00 USD",
        "fees 4 - - - -0.16 EUR, -0.56 USD",
        "rule:amex-to-backup 2 130.00 USD - - -",
        "limits.max_amount 1 - 900.00 USD - -26.10 USD",
        "payment.amount: takes 0.01 USD to 500.00 USD (limits.max_amount)",
    )
    assert [row for row in rows if row not in lines] == []
    assert lines.count("the fee is 0.25 USD instead of 0.29 USD") == 1
    assert "replaying" in told.stderr


def test_a_replay_names_as_many_requests_of_each_kind_as_are_asked_for(
    cli: Cli, merchant: MerchantId
) -> None:
    told = _against(cli, merchant, "--show", "1").stdout
    assert told.count("pay_") == 2
    assert told.endswith("  and 3 more (--show names more)\n")
    assert _against(cli, merchant, "--show", "0").stdout.count("pay_") == 0


def test_a_replay_is_told_to_programs_in_whole_numbers(cli: Cli, merchant: MerchantId) -> None:
    told = _against(cli, merchant, "--output", "json", "--show", "10")
    found = json.loads(told.stdout)
    summary = found["summary"]
    assert (summary["requests_replayed"], summary["requests_refused"]) == (5, 1)
    assert summary["route_shifts"] == [
        {
            "from_processor_id": "home",
            "to_processor_id": "backup",
            "step_count": 2,
            "amounts": [{"amount_minor": 13_000, "currency": "USD"}],
        }
    ]
    assert len(found["differences"]) == 5
    assert found["differences"][0]["refused"]["reason"] == "ERROR_REASON_POLICY_VIOLATED"
    assert "replaying" not in told.stderr


def test_a_replay_leaves_the_payments_as_they_were(
    cli: Cli, merchant: MerchantId, module_database_urls: DatabaseUrls
) -> None:
    before = _contents(module_database_urls.owner)
    assert sum(map(len, before.values())) > 20
    assert _against(cli, merchant).exit_code == 0
    assert _contents(module_database_urls.owner) == before


def _contents(url: str) -> dict[str, list[Any]]:
    """All that is kept of payments and configurations, but for when somebody looked last."""

    async def read() -> dict[str, list[Any]]:
        connection = await asyncpg.connect(url)
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname in ('payments', 'config', 'access')"
            " and tablename not in ('postings', 'leases')"
        )
        contents = {
            table["name"]: sorted(
                map(str, await connection.fetch(f"select * from {table['name']}"))
            )
            for table in tables
        }
        await connection.close()
        return contents

    return asyncio.run(read())


def test_the_configuration_of_today_changes_nothing(cli: Cli, merchant: MerchantId) -> None:
    told = _against(cli, merchant, text=_TODAY)
    assert told.stdout == "5 recorded requests: none would be handled otherwise\n"
    stored = ("plan", "--merchant", merchant, "--version", "1", "--against", "last:2")
    assert cli(*stored).stdout == "2 recorded requests: none would be handled otherwise\n"


def test_a_merchant_without_requests_is_told_so_and_sees_no_others(
    cli: Cli, merchant: MerchantId
) -> None:
    stranger = _configured(cli)
    told = _against(cli, stranger)
    assert told.exit_code == 0
    assert told.stdout == f"no request of {stranger} is recorded there: nothing was replayed\n"
    since = cli("plan", "--merchant", merchant, "--against", "since:2999-01-01")
    assert since.stdout.startswith(f"no request of {merchant} is recorded there")


@pytest.mark.parametrize(
    ("text", "complaint", "exit_code"),
    [
        ("a: [", "is no YAML", 2),
        ("- a", "wants merchant_id, version and settings", 2),
        (_TRIED.replace("settings:", "setting:"), "setting is none of its fields", 2),
        (_TRIED.replace("capture_method: automatic", "capture_method: later"), "capture_method", 2),
        (_TRIED.replace("250", "25000"), "fees.basis_points: must be 0 to 10000", 1),
        (_TRIED.replace("- processor_id: euro", "- processor_id: nobody"), "processors[2]", 1),
    ],
)
def test_a_configuration_that_is_wrong_is_refused_as_config_put_does(
    cli: Cli, merchant: MerchantId, text: str, complaint: str, exit_code: int
) -> None:
    refused = _against(cli, merchant, "--output", "json", text=text)
    put = cli("config", "put", "-", given=text.format(merchant=merchant))
    assert complaint in refused.stderr
    assert (refused.exit_code, refused.stderr) == (put.exit_code, put.stderr)
    assert refused.exit_code == exit_code


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--against", "yesterday"), "neither last:N"),
        (("--against", "last:0"), "neither last:N"),
        (("--against", "last:100001"), "1 to 100000"),
        (("--against", "last:-1"), "neither last:N"),
        (("--against", "since:tomorrow"), "since:2026-11-20T08:00"),
        (("--against", "last:5", "--token", "x"), "--token and --against"),
        (("12.50", "--against", "last:5"), "AMOUNT and --against"),
        (("--against", "last:5"), "say whose requests with --merchant"),
        (("--config", "-"), "--against recorded requests"),
        (("--config", "-", "--version", "1", "--against", "last:5"), "--version and --config"),
        (("--config", "-", "--merchant", MerchantId.new(), "--against", "last:5"), "is of mer_"),
        (("--config", "/nowhere.yaml", "--against", "last:5"), "No such file"),
        (("12.50",), "give an AMOUNT and its --merchant"),
        ((), "give an AMOUNT and its --merchant"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2_and_says_what_can(
    cli: Cli, words: tuple[str, ...], complaint: str
) -> None:
    refused = cli("plan", *words, given=_TODAY.format(merchant=MerchantId.new()))
    assert refused.exit_code == 2, refused.stdout
    assert complaint in " ".join(refused.stderr.split())
