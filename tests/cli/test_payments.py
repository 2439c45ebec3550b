"""`payment-cli pay`, `payments`, `process-refund`, `resolve`, `explain` and `idempotency`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from services.kernel.ids import MerchantId, PaymentId
from tests.cli.in_process import Cli, cli_of, serving_processors
from tests.conftest import DatabaseUrls

# `silent` never says what it did, and not when it is asked again either.
_PROCESSORS = """
[[processors]]
id = "simulated"
adapter = "simulated"

[[processors]]
id = "silent"
adapter = "simulated"
currencies = ["EUR"]
options = { faults_percent = { server_error = 100 } }
"""
_CONFIG = """
merchant_id: {merchant}
settings:
  default_currency: USD
  fees:
    basis_points: 290
    fixed:
    - amount_minor: 30
      currency: USD
  capture_method: automatic
  split_policy: all_or_nothing
  processors:
  - processor_id: silent
  - processor_id: simulated
  step_timeout: 5s
"""


@pytest.fixture(scope="module")
def home(module_database_urls: DatabaseUrls) -> Iterator[Path]:
    """The home of a system with a processor that works and one that does not say."""
    with serving_processors(_PROCESSORS, module_database_urls) as home:
        yield home


@pytest.fixture(scope="module")
def cli(home: Path) -> Cli:
    return cli_of(home)


@pytest.fixture(scope="module")
def merchant(home: Path, cli: Cli) -> MerchantId:
    merchant_id = MerchantId.new()
    file = home / "merchant.yaml"
    file.write_text(_CONFIG.format(merchant=merchant_id))
    finished = cli("config", "put", str(file))
    assert finished.exit_code == 0, finished.stderr
    return merchant_id


def _json(finished: Result, code: int = 0) -> Any:
    assert finished.exit_code == code, finished.stderr + finished.stdout
    return json.loads(finished.stdout)


def _paid(cli: Cli, merchant: MerchantId, *arguments: str, amount: str = "100.00") -> Any:
    """A payment as the command tells it to programs."""
    words = ("pay", amount, "--merchant", merchant, *arguments, "--output", "json")
    return _json(cli(*words))["payment"]


def test_pay_says_what_came_of_it_and_why(cli: Cli, merchant: MerchantId) -> None:
    finished = cli("pay", "100.00", "--merchant", merchant, "--metadata", "order_number=0017")
    assert finished.exit_code == 0, finished.stderr
    first, *rest = finished.stdout.splitlines()
    assert re.fullmatch(rf"pay_\w+: CAPTURED, 100.00 USD for {merchant}", first)
    assert "  fee        3.20 USD" in rest
    assert "    silent left out: it does not take USD (currency.unsupported)" in rest
    payment_id = first.split(":")[0]
    shown = _json(cli("payments", "show", payment_id, "--output", "json"))
    assert shown["metadata"] == {"order_number": "0017"}
    assert isinstance(shown["version"], int), "as programs read it"
    assert shown["amount_captured"] == {"amount_minor": 10_000, "currency": "USD"}


def test_a_decline_says_what_the_customer_is_told_and_is_exit_code_1(
    cli: Cli, merchant: MerchantId
) -> None:
    card = "pm_card_visa_chargeDeclinedInsufficientFunds"
    finished = cli("pay", "12.50", "--merchant", merchant, "--token", card)
    assert finished.exit_code == 1
    assert "why: Card declined due to insufficient funds (insufficient_funds)" in finished.stdout
    assert ": FAILED, 12.50 USD" in finished.stdout


def test_paying_again_under_a_key_pays_once(cli: Cli, merchant: MerchantId) -> None:
    words = ("pay", "5.00", "--merchant", merchant, "--idempotency-key", "once")
    first, again = cli(*words), cli(*words)
    assert first.stdout.splitlines()[0] == again.stdout.splitlines()[0]
    assert "this key had paid it before" in again.stdout
    other = cli("pay", "6.00", "--merchant", merchant, "--idempotency-key", "once")
    assert other.exit_code == 1
    told = "this idempotency key was used before, for a request that differs in amount"
    assert other.stderr.startswith(f"payment-cli: {told}\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("12.505",), 2),
        (("12,50",), 2),
        (("12.50", "--currency", "XYZ"), 1),
        (("-1", "--currency", "USD"), 2),
        (("0",), 2),
        (("12.50", "--metadata", "nonsense"), 2),
        (("12.50", "--method", "cheque"), 2),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_line(
    cli: Cli, merchant: MerchantId, words: tuple[str, ...], code: int
) -> None:
    finished = cli("pay", "--merchant", merchant, *words)
    assert finished.exit_code == code
    assert "Traceback" not in finished.stderr
    assert finished.stderr


@pytest.mark.parametrize(
    ("typed", "currency", "said"),
    [
        ("12,50", "USD", "'12,50' is no amount of USD: write it like 125.00"),
        ("1.5", "JPY", "'1.5' is no amount of JPY: write it like 12500"),
        ("0", "USD", "'0' cannot be paid: an amount is above zero"),
    ],
)
def test_an_amount_that_cannot_be_is_told_with_one_that_can(
    cli: Cli, merchant: MerchantId, typed: str, currency: str, said: str
) -> None:
    finished = cli("pay", typed, "--merchant", merchant, "--currency", currency)
    assert finished.exit_code == 2
    assert said in finished.stderr


def test_what_waits_for_its_customer_says_where_to_go(cli: Cli, merchant: MerchantId) -> None:
    finished = cli(
        "pay", "9.00", "--merchant", merchant, "--token", "pm_card_threeDSecure2Required",
        "--return-url", "https://shop.example/back",
    )  # fmt: skip
    assert finished.exit_code == 0
    assert ": CONFIRMING, 9.00 USD" in finished.stdout
    assert "the customer must visit http" in finished.stdout


def test_a_hold_is_taken_in_part_and_another_released(cli: Cli, merchant: MerchantId) -> None:
    held = _paid(cli, merchant, "--capture", "manual")
    assert held["state"] == "PAYMENT_STATE_AUTHORIZED"
    taken = cli("payments", "capture", held["id"], "--amount", "40.00")
    assert taken.exit_code == 0
    assert ": CAPTURED, 100.00 USD" in taken.stdout
    assert "  captured   40.00 USD" in taken.stdout
    twice = cli("payments", "void", held["id"])
    assert twice.exit_code == 1
    assert "a payment in CAPTURED cannot be voided" in twice.stderr
    other = _paid(cli, merchant, "--capture", "manual")
    released = cli("payments", "void", other["id"], "--reason", "changed their mind")
    assert (released.exit_code, ": VOIDED," in released.stdout) == (0, True)


def test_payments_are_listed_by_what_they_have_in_common(cli: Cli, merchant: MerchantId) -> None:
    ids = [_paid(cli, merchant, "--user-id", "ada")["id"] for _ in range(3)]
    ada = ("--merchant", merchant, "--user-id", "ada")
    listed = cli("payments", "list", *ada)
    lines = listed.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ids[::-1]
    assert all(" captured " in line for line in lines)
    page = _json(cli("payments", "list", *ada, "--limit", "2", "--output", "json"))
    token = page["next_page_token"]
    rest = cli("payments", "list", *ada, "--limit", "2", "--page-token", token)
    assert [line.split()[0] for line in rest.stdout.splitlines()[1:]] == ids[:1]
    none = _json(cli("payments", "list", *ada, "--state", "failed", "--output", "json"))
    assert none["payments"] == []


def test_a_refund_is_shown_first_and_asked_for(home: Path, cli: Cli, merchant: MerchantId) -> None:
    payment = _paid(cli, merchant)
    declined = cli("process-refund", payment["id"], given="n\n")
    assert declined.exit_code == 1
    assert f"{payment['id']}: CAPTURED, 100.00 USD" in declined.stderr
    assert "Return all that is left, 100.00 USD at most, to the customer?" in declined.stderr
    assert cli("payments", "show", payment["id"]).stdout.count("refunded") == 0
    agreed = cli("process-refund", payment["id"], "--amount", "40", given="y\n")
    assert agreed.exit_code == 0, agreed.stderr
    assert "Return 40.00 USD to the customer?" in agreed.stderr
    assert re.match(r"re_\w+: 40.00 USD succeeded, 1.28 USD of the fee with it\n", agreed.stdout)
    assert "  refunded   40.00 USD" in agreed.stdout


def test_a_refund_without_asking_happens_once_a_key_and_not_beyond_what_is_left(
    cli: Cli, merchant: MerchantId
) -> None:
    payment = _paid(cli, merchant)
    words = ("process-refund", payment["id"], "--yes", "--idempotency-key", "r-1")
    refund = _json(cli(*words, "--output", "json"))["refund"]
    assert (refund["state"], refund["amount"]["amount_minor"]) == (
        "REFUND_STATE_SUCCEEDED",
        10_000,
    )
    again = cli(*words)
    assert (again.exit_code, refund["id"] in again.stdout) == (0, True)
    assert "this key had asked for it before" in again.stdout
    more = cli("process-refund", payment["id"], "--yes")
    assert more.exit_code == 1
    assert len(more.stderr.splitlines()) == 1
    nobody = cli("process-refund", PaymentId.new(), "--yes")
    assert (nobody.exit_code, "there is no payment" in nobody.stderr) == (1, True)


def test_a_payment_is_explained_in_sentences(cli: Cli, merchant: MerchantId) -> None:
    payment = _paid(cli, merchant)
    told = cli("explain", payment["id"])
    assert told.exit_code == 0
    sentences = (
        "gateway       100.00 USD by card was asked for",
        "plan          Step 0: silent is left out: it does not take USD",
        "orchestrator  The payment went from AUTHORIZED to CAPTURED, because of attempt 1.",
        "processor     Attempt 1: simulated was asked to authorize",
    )
    assert [each for each in sentences if each not in told.stdout] == []
    story = _json(cli("explain", payment["id"], "--output", "json"))
    assert len(story["attempts"]) == 1
    assert story["plan"]["config_version"] == 1
    assert story["timeline"][0]["source"] == "gateway"
    nobody = cli("explain", PaymentId.new())
    assert (nobody.exit_code, "there is no payment" in nobody.stderr) == (1, True)


def test_a_doubt_is_listed_and_closed_with_evidence(cli: Cli, merchant: MerchantId) -> None:
    paid = cli("pay", "30.00", "--currency", "EUR", "--merchant", merchant)
    assert paid.exit_code == 0
    assert "  in doubt since " in paid.stdout
    payment_id = paid.stdout.split(":")[0]
    listed = cli("payments", "list", "--in-doubt", "--merchant", merchant)
    assert f"{payment_id}  confirming, in doubt" in listed.stdout
    words = ("resolve", payment_id, "--outcome", "failed")
    assert cli(*words).exit_code == 2, "without a source it is no evidence"
    story = _json(cli("explain", payment_id, "--output", "json"))
    attempt_id = story["attempts"][0]["attempt"]["id"]
    source = "dashboard, 2030-01-05"
    evidence = ("--attempt", attempt_id, "--source", source, "--operator", "maria")
    closed = cli(*words, *evidence)
    assert closed.exit_code == 0, closed.stderr
    assert f"{payment_id}: FAILED" in closed.stdout
    told = cli("explain", payment_id).stdout
    assert f"Attempt 1 was settled by maria: it failed; seen in: {source}." in told
    assert cli(*words, *evidence).exit_code == 1, "nothing is in doubt any more"


def test_a_key_tells_whether_to_send_again(cli: Cli, merchant: MerchantId) -> None:
    unseen = cli("idempotency", "order-99", "--merchant", merchant)
    assert unseen.exit_code == 0
    assert unseen.stdout == "order-99: unseen; sending the same request again is safe\n"
    payment = _paid(cli, merchant, "--idempotency-key", "order-99")
    done = cli("idempotency", "order-99", "--merchant", merchant)
    assert "order-99: done; sending the same request again is safe" in done.stdout
    assert f"ExecutePlan about {payment['id']}" in done.stdout
    words = ("idempotency", "order-99", "--merchant", merchant, "--fingerprint", "0" * 64)
    record = _json(cli(*words, "--output", "json"), code=1)
    assert (record["state"], record["retry_safe"]) == ("IDEMPOTENCY_STATE_CONFLICT", False)
    assert "sending the same request again is refused" in cli(*words).stdout
