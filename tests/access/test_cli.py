"""`payment-cli keys` and `merchants` against a running system."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.access.domain.secret import is_well_formed
from services.kernel.ids import ApiKeyId, MerchantId
from tests.cli.conftest import Cli, cli, home

__all__ = ["cli", "home"]


def _merchant(cli: Cli, name: str = "Acme GmbH") -> str:
    made = cli("merchants", "create", name)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _keys(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    listed = cli("keys", "list", *arguments, "--output", "json")
    assert listed.returncode == 0, listed.stderr
    return list(json.loads(listed.stdout))


def test_a_key_is_made_rotated_and_revoked(cli: Cli) -> None:
    merchant_id = _merchant(cli)
    made = cli(
        "keys", "create", "--merchant", merchant_id, "--name", "shop",
        "--scope", "payments:read", "--scope", "payments:write", "--expires-in-days", "90",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert is_well_formed(secret)
    [key] = _keys(cli, "--merchant", merchant_id)
    assert key["id"] in made.stderr
    assert (key["scopes"], key["name"]) == (["payments:read", "payments:write"], "shop")

    rotated = cli("keys", "rotate", key["id"], "--overlap-hours", "48")
    assert rotated.returncode == 0, rotated.stderr
    assert is_well_formed(rotated.stdout.strip())
    assert rotated.stdout.strip() != secret
    assert f"{key['id']} is taken until" in rotated.stderr

    revoked = cli("keys", "revoke", key["id"])
    assert revoked.stdout.startswith(f"{key['id']} was revoked on")
    table = cli("keys", "list", "--merchant", merchant_id).stdout
    assert [line.split()[3] for line in table.splitlines()[1:]] == ["active", "revoked"]
    assert secret not in table
    [left] = _keys(cli, "--merchant", merchant_id, "--state", "active")
    assert left["replaces_id"] == key["id"]


def test_an_operators_key_belongs_to_no_merchant(cli: Cli) -> None:
    made = cli("keys", "create", "--admin", "--name", "ops", "--output", "json")
    answer = json.loads(made.stdout)
    assert is_well_formed(answer["secret_value"])
    assert (answer["api_key"]["merchant_id"], answer["api_key"]["role"]) == ("", "ROLE_ADMIN")
    assert "admin" in answer["api_key"]["scopes"]


def test_a_repeat_says_how_to_get_at_a_key_after_all(cli: Cli) -> None:
    arguments = ("keys", "create", "--admin", "--name", "ops", "--idempotency-key", "once")
    assert is_well_formed(cli(*arguments).stdout.strip())
    again = cli(*arguments)
    assert (again.returncode, again.stdout) == (1, "")
    assert "keys rotate key_" in again.stderr


def test_merchants_are_listed_suspended_and_activated(cli: Cli) -> None:
    merchant_id = _merchant(cli, "[bold]Brackets & Söhne")
    assert cli("merchants", "suspend", merchant_id).stdout == f"{merchant_id} is suspended\n"
    table = cli("merchants", "list", "--state", "suspended").stdout
    assert f"{merchant_id}  [bold]Brackets & Söhne  suspended" in table
    assert cli("merchants", "activate", merchant_id).stdout == f"{merchant_id} is active\n"
    listed = json.loads(cli("merchants", "list", "--output", "json").stdout)
    assert [m["version"] for m in listed if m["id"] == merchant_id] == [3]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("keys", "create", "--name", "n"), 2, "--merchant mer_..., or --admin"),
        (("keys", "create", "--name", "n", "--admin", "--merchant", "mer_1"), 2, "or --admin"),
        (("keys", "create", "--name", "n", "--merchant", "mer_1"), 1, "not the id of a merchant"),
        (("keys", "create", "--name", "n", "--merchant", MerchantId.new()), 1, "no merchant"),
        (("keys", "create", "--name", "n", "--admin", "--scope", "all"), 1, "is no scope"),
        (
            ("keys", "create", "--name", "n", "--admin", "--expires-in-days", "1e9"),
            2,
            "not a valid integer",
        ),
        (("keys", "rotate", ApiKeyId.new()), 1, "there is no API key"),
        (("keys", "rotate", ApiKeyId.new(), "--overlap-hours", "721"), 2, "0<=x<=720"),
        (("keys", "revoke", "key_1"), 1, "not the id of an API key"),
        (("merchants", "suspend", MerchantId.new()), 1, "there is no merchant"),
        (("merchants", "create", "x" * 300), 1, "200 characters"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    cli: Cli, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    refused = cli(*arguments)
    assert refused.returncode == code, refused.stderr
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_pepper_lies_in_the_home(home: Path, cli: Cli) -> None:
    assert (home / "access-key-pepper").is_file()
