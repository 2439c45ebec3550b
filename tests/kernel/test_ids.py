"""Ids: typed, ordered by time, strict about what they read."""

import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import InvalidArgument
from services.kernel.ids import (
    ApiKeyId,
    AttemptId,
    EventId,
    Id,
    LedgerTransactionId,
    PaymentId,
    PlanId,
    RefundId,
)

GOOD_HEX = "01a1fbf9a48a737da45bdada700a1e45"


def test_a_new_id_is_its_prefix_over_a_uuid_of_version_7() -> None:
    payment_id = PaymentId.new()
    prefix, hex_digits = payment_id.split("_")

    assert type(payment_id) is PaymentId
    assert prefix == "pay"
    assert UUID(hex_digits).version == 7
    assert UUID(hex_digits).hex == hex_digits


def test_no_two_kinds_of_id_share_a_prefix() -> None:
    prefixes = [kind.prefix for kind in Id.__subclasses__()]
    assert len(prefixes) == len(set(prefixes))


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [EventId.new() for _ in range(10_000)]
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_an_id_tells_when_it_was_made() -> None:
    made_at = PaymentId.new().created_at
    assert abs(made_at - datetime.now(UTC)) < timedelta(minutes=1)
    known = PaymentId.parse("pay_" + "0" * 9 + "3e8" + "7000" + "8" + "0" * 15)
    assert known.created_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", Id.__subclasses__())
def test_every_kind_reads_back_what_it_made(kind: type[Id]) -> None:
    made = kind.new()
    read = kind.parse(str(made))

    assert read == made
    assert type(read) is kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay_",
        GOOD_HEX,
        f"re_{GOOD_HEX}",
        f"pay-{GOOD_HEX}",
        f"PAY_{GOOD_HEX}",
        f"pay_{GOOD_HEX.upper()}",
        f" pay_{GOOD_HEX}",
        f"pay_{GOOD_HEX}\n",
        f"pay_{GOOD_HEX}0",
        f"pay_{GOOD_HEX[:-1]}",
        f"pay_{GOOD_HEX[:-1]}g",
        f"pay_{GOOD_HEX[:-1]}\u0665",
        f"pay_pay_{GOOD_HEX}",
        "pay_01a1fbf9-a48a-737d-a45b-dada700a1e45",
        "pay_01a1fbf9a48a437da45bdada700a1e45",
        "pay_01a1fbf9a48a737d245bdada700a1e45",
    ],
)
def test_anything_but_the_exact_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        PaymentId.parse(text)
    assert refusal.value.violations[0].rule == "id.pay"


def test_an_id_goes_into_a_uuid_column_and_back() -> None:
    payment_id = PaymentId.new()
    assert payment_id == f"pay_{UUID(payment_id.hex).hex}"
    assert PaymentId.of_hex(payment_id.hex) == payment_id
    assert type(PaymentId.of_hex(payment_id.hex)) is PaymentId


def test_one_kind_never_reads_anothers_id() -> None:
    with pytest.raises(InvalidArgument):
        RefundId.parse(PaymentId.new())
    with pytest.raises(InvalidArgument):
        PaymentId.parse(PlanId.new())


@given(st.text())
def test_a_refusal_never_repeats_what_it_was_given(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        PaymentId.parse(text)
    assert str(refusal.value) == (
        "this is not the id of a payment: it must be pay_ and 32 lower-case hex digits"
        " [ID_MALFORMED]: id: must be pay_ and 32 lower-case hex digits (id.pay)"
    )


def test_a_refusal_says_in_words_what_the_id_would_be_of() -> None:
    for kind, told in (
        (ApiKeyId, "this is not the id of an API key: it must be key_"),
        (LedgerTransactionId, "this is not the id of a ledger transaction: it must be ltx_"),
        (AttemptId, "this is not the id of an attempt: it must be att_"),
    ):
        with pytest.raises(InvalidArgument, match=told):
            kind.parse("x")


def test_an_id_keeps_its_type_through_pickling() -> None:
    payment_id = PaymentId.new()
    copy = pickle.loads(pickle.dumps(payment_id))  # noqa: S301 -- what this test is about
    assert (type(copy), copy) == (PaymentId, payment_id)
