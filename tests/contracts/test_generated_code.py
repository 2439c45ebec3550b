"""gen/ is what proto/ says: the check in `make lint` notices either being changed alone."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Rewrite = Callable[[str, str, str], None]
Contracts = Callable[..., subprocess.CompletedProcess[str]]

MONEY = "proto/payments/core/v1/money.proto"
GENERATED_MONEY = "gen/payments/core/v1/money_pb2.py"


def test_committed_code_is_current(contracts: Contracts) -> None:
    check = contracts("current")
    assert (check.returncode, check.stderr) == (0, "")


def test_edited_contract_is_caught(rewrite: Rewrite, contracts: Contracts) -> None:
    rewrite(MONEY, "string currency = 2;", "string currency_code = 2;")
    check = contracts("current")
    assert check.returncode == 1
    assert "run `make generate`" in check.stderr
    assert "gen/payments/core/v1/money_pb2.py" in check.stderr


def test_edited_generated_file_is_caught_and_left_alone(
    rewrite: Rewrite, contracts: Contracts, checkout: Path
) -> None:
    rewrite(GENERATED_MONEY, "DESCRIPTOR", "DESCRIPTION")
    check = contracts("current")
    assert check.returncode == 1
    assert check.stderr.splitlines()[1:] == [f"  {GENERATED_MONEY}"]
    assert "DESCRIPTION" in (checkout / GENERATED_MONEY).read_text(encoding="utf-8")


def test_stray_and_missing_files_are_caught(contracts: Contracts, checkout: Path) -> None:
    (checkout / "gen/payments/core/v1/left_over_pb2.py").touch()
    (checkout / GENERATED_MONEY).unlink()
    check = contracts("current")
    assert check.returncode == 1
    assert check.stderr.splitlines()[1:] == [
        "  gen/payments/core/v1/left_over_pb2.py",
        f"  {GENERATED_MONEY}",
    ]


def test_generating_makes_it_current_again(rewrite: Rewrite, contracts: Contracts) -> None:
    rewrite(MONEY, "string currency = 2;", "string currency_code = 2;")
    assert contracts("generate").returncode == 0
    assert contracts("current").returncode == 0
