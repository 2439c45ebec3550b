"""What was released is not broken by accident, and a version follows from what has changed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.contracts import ContractsError, Version, last_release, next_version

Rewrite = Callable[[str, str, str], None]
Contracts = Callable[..., subprocess.CompletedProcess[str]]

MONEY = "proto/payments/core/v1/money.proto"
LEDGER_SERVICE = "proto/payments/ledger/v1/ledger_service.proto"
GET_BALANCE = """\
  // GetBalance sums the entries of an account in one currency, as of a moment. A sum that is more
  // than an amount can hold is refused with AMOUNT_OVERFLOW, and told among the error's details.
  rpc GetBalance(GetBalanceRequest) returns (GetBalanceResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
  }
"""


def test_contracts_break_nothing_that_was_released(contracts: Contracts) -> None:
    comparison = contracts("breaking")
    assert comparison.returncode == 0, comparison.stdout
    assert f"nothing breaks contracts {last_release()}" in comparison.stdout


def test_renumbered_field_is_caught(rewrite: Rewrite, contracts: Contracts) -> None:
    rewrite(MONEY, "string currency = 2;", "string currency = 3;")
    comparison = contracts("breaking")
    assert comparison.returncode == 1
    assert 'Previously present field "2" with name "currency"' in comparison.stdout


def test_removed_rpc_is_caught(rewrite: Rewrite, contracts: Contracts) -> None:
    rewrite(LEDGER_SERVICE, GET_BALANCE, "")
    comparison = contracts("breaking")
    assert comparison.returncode == 1
    assert 'Previously present RPC "GetBalance"' in comparison.stdout


def test_moved_message_is_caught(rewrite: Rewrite, contracts: Contracts, checkout: Path) -> None:
    ledger = checkout / "proto/payments/ledger/v1"
    (ledger / "statement.proto").rename(ledger / "account_statement.proto")
    rewrite(LEDGER_SERVICE, "v1/statement.proto", "v1/account_statement.proto")
    comparison = contracts("breaking")
    assert comparison.returncode == 1
    assert 'Previously present file "payments/ledger/v1/statement.proto"' in comparison.stdout


@pytest.mark.parametrize(
    ("last", "breaks", "following"),
    [
        (None, False, "0.1.0"),
        ("0.1.4", False, "0.1.5"),
        ("0.1.4", True, "0.2.0"),
        ("1.2.3", False, "1.3.0"),
    ],
)
def test_version_follows_from_what_changed(last: str | None, breaks: bool, following: str) -> None:
    before = None if last is None else Version.parse(last)
    assert str(next_version(before, breaks=breaks)) == following


def test_break_after_one_is_refused() -> None:
    with pytest.raises(ContractsError, match=r"since 1\.0\.0 a package never breaks"):
        next_version(Version(1, 0, 0), breaks=True)


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.-2.3", "1.2.³"])
def test_text_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ContractsError, match="is not a version"):
        Version.parse(text)


def test_addition_is_released_as_the_next_version(
    rewrite: Rewrite, contracts: Contracts, checkout: Path
) -> None:
    assert "nothing has changed" in contracts("release").stdout
    last = last_release()
    assert last is not None
    rewrite(MONEY, "= 2;\n", "= 2;\n  // What the amount is for.\n  string purpose = 3;\n")
    assert contracts("generate").returncode == 0
    version = next_version(last, breaks=False)
    assert f"released contracts {version}" in contracts("release").stdout
    assert (checkout / f"contracts/releases/{version}/image.binpb").is_file()
    assert f"nothing breaks contracts {version}" in contracts("breaking").stdout


def test_release_refuses_stale_code_and_a_version_too_low(
    rewrite: Rewrite, contracts: Contracts
) -> None:
    too_low = contracts("release", "0.0.9")
    assert (too_low.returncode, "is the next release" in too_low.stderr) == (1, True)
    rewrite(MONEY, "string currency = 2;", "string currency_code = 2;")
    stale = contracts("release")
    assert (stale.returncode, "run `make generate`" in stale.stderr) == (1, True)


def test_nothing_to_compare_with_is_said(contracts: Contracts, checkout: Path) -> None:
    for image in (checkout / "contracts/releases").glob("*/image.binpb"):
        image.unlink()
    comparison = contracts("breaking")
    assert comparison.returncode == 1
    assert comparison.stderr == "no contracts were released yet; run `make release-contracts`\n"
