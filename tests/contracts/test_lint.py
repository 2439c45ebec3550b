"""buf lint and buf format hold: each kind of rule is broken once in a copy."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.conftest import BUF, ROOT

Rewrite = Callable[[str, str, str], None]

MONEY = "proto/payments/core/v1/money.proto"
OPERATION = "proto/payments/core/v1/operation.proto"
LEDGER_SERVICE = "proto/payments/ledger/v1/ledger_service.proto"
COMMENT_OF_CURRENCY = '  // The ISO 4217 code of the currency in upper case, such as "USD".\n'


def buf(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUF, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )


def test_contracts_lint_and_are_formatted() -> None:
    lint = buf(ROOT, "lint")
    assert (lint.returncode, lint.stdout) == (0, "")
    layout = buf(ROOT, "format", "--diff", "--exit-code")
    assert (layout.returncode, layout.stdout) == (0, "")


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ((MONEY, "int64 amount_minor", "int64 amountMinor"), "lower_snake_case"),
        (
            (MONEY, COMMENT_OF_CURRENCY, ""),
            'Field "currency" should have a non-empty comment',
        ),
        ((OPERATION, "OPERATION_UNSPECIFIED", "OPERATION_NONE"), "_UNSPECIFIED"),
        ((LEDGER_SERVICE, "service LedgerService", "service Ledger"), '"Service"'),
        (
            (LEDGER_SERVICE, "(GetBalanceRequest)", "(GetTransactionRequest)"),
            "GetBalanceRequest",
        ),
    ],
)
def test_broken_rule_is_caught(
    checkout: Path, rewrite: Rewrite, broken: tuple[str, str, str], complaint: str
) -> None:
    rewrite(*broken)
    lint = buf(checkout, "lint")
    assert lint.returncode == 100
    assert complaint in lint.stdout


def test_circle_of_packages_is_caught(checkout: Path, rewrite: Rewrite) -> None:
    rewrite(
        OPERATION,
        "package payments.core.v1;\n",
        'package payments.core.v1;\n\nimport "payments/ledger/v1/statement.proto";\n',
    )
    lint = buf(checkout, "lint")
    assert lint.returncode == 100
    assert "package import cycle" in lint.stdout.lower()


def test_other_layout_is_caught(checkout: Path, rewrite: Rewrite) -> None:
    rewrite(MONEY, "  int64 amount_minor", "      int64 amount_minor")
    assert buf(checkout, "format", "--diff", "--exit-code").returncode == 100
