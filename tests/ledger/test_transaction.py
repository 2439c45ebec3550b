"""A draft that breaks a rule cannot be made, and the refusal names every field that did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import InvalidArgument, Reason
from services.ledger.domain.transaction import (
    MAX_ENTRIES,
    MAX_LEG_MINOR,
    EntryDraft,
    TransactionDraft,
)
from tests.ledger.drafts import draft, entry, sale

_PAIR = (entry("a", -1), entry("b", 1))


@pytest.mark.parametrize(
    ("key", "reference_id", "entries", "field", "rule"),
    [
        ("", "r", _PAIR, "idempotency_key", "idempotency_key.present"),
        ("k" * 256, "r", _PAIR, "idempotency_key", "idempotency_key.length"),
        ("k\x00", "r", _PAIR, "idempotency_key", "idempotency_key.printable"),
        ("k", "", _PAIR, "reference_id", "reference_id.present"),
        ("4242 4242 4242 4242", "r", _PAIR, "idempotency_key", "idempotency_key.card_number"),
        ("k", "r\ud800", _PAIR, "reference_id", "reference_id.printable"),
        ("k", "pay 4242424242424242", _PAIR, "reference_id", "reference_id.card_number"),
        ("k", "r", (), "entries", "entries.count"),
        ("k", "r", (entry("a", 1),), "entries", "entries.count"),
        ("k", "r", _PAIR * (MAX_ENTRIES // 2) + _PAIR[:1], "entries", "entries.count"),
        ("k", "r", (entry("a", 0), *_PAIR), "entries[0].amount", "amount.not_zero"),
        (
            "k",
            "r",
            (entry("a", MAX_LEG_MINOR + 1), entry("b", -MAX_LEG_MINOR - 1)),
            "entries[0].amount",
            "amount.range",
        ),
        (
            "k",
            "r",
            (entry("a", MAX_LEG_MINOR), entry("b", -MAX_LEG_MINOR - 1), entry("c", 1)),
            "entries[1].amount",
            "amount.range",
        ),
        ("k", "r", (*_PAIR, entry("", 0)), "entries[2].account", "account.grammar"),
        ("k", "r", (entry("a::b", -1), entry("b", 1)), "entries[0].account", "account.grammar"),
        ("k", "r", (entry("a b", -1), entry("b", 1)), "entries[0].account", "account.grammar"),
        ("k", "r", (entry(":a", -1), entry("b", 1)), "entries[0].account", "account.grammar"),
        ("k", "r", (entry("a\n", -1), entry("b", 1)), "entries[0].account", "account.grammar"),
        ("k", "r", (entry("é", -1), entry("b", 1)), "entries[0].account", "account.grammar"),
        ("k", "r", (entry("a" * 256, -1), entry("b", 1)), "entries[0].account", "account.grammar"),
    ],
)
def test_a_broken_rule_is_named_with_its_field(
    key: str, reference_id: str, entries: tuple[EntryDraft, ...], field: str, rule: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        TransactionDraft(key, reference_id, entries)
    assert (field, rule) in [(v.field, v.rule) for v in refusal.value.violations]


def test_all_broken_rules_are_named_at_once() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        TransactionDraft("", "", (entry("a b", 0), entry("b", 1)))
    assert len(refusal.value.violations) == 4


@pytest.mark.parametrize(
    "entries",
    [
        (entry("a", -1000), entry("b", 970)),
        (entry("a", 1), entry("b", 1)),
        (entry("a", -1, "USD"), entry("b", 1, "EUR")),
        (entry("a", -5, "USD"), entry("b", 5, "USD"), entry("c", -5, "EUR"), entry("d", 4, "EUR")),
    ],
)
def test_what_does_not_sum_to_zero_in_every_currency_is_refused(
    entries: tuple[EntryDraft, ...],
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        draft("k", *entries)
    assert refusal.value.reason is Reason.TRANSACTION_UNBALANCED


def test_the_largest_leg_is_accepted_either_way() -> None:
    assert draft("k", entry("a", MAX_LEG_MINOR), entry("b", -MAX_LEG_MINOR)).entries


@given(
    st.lists(
        st.integers(-MAX_LEG_MINOR // 6, MAX_LEG_MINOR // 6).filter(bool), min_size=1, max_size=6
    )
)
def test_what_sums_to_zero_is_accepted_whatever_its_legs(amounts: list[int]) -> None:
    rest = -sum(amounts)
    entries = [entry(f"account:{n}", amount) for n, amount in enumerate(amounts)]
    entries += [entry("rest", rest)] if rest else [entry("a", 1), entry("b", -1)]
    if len(entries) >= 2:
        assert draft("k", *entries).entries == tuple(entries)


def test_every_part_of_the_body_changes_the_fingerprint_and_the_key_does_not() -> None:
    original = sale("k")
    others = [
        draft("k", *original.entries, reference_id="pay_2"),
        draft("k", *reversed(original.entries)),
        sale("k", amount_minor=1001),
        draft("k", *(entry(e.account, e.amount.amount_minor, "EUR") for e in original.entries)),
    ]
    fingerprints = {each.fingerprint for each in [original, *others]}
    assert len(fingerprints) == 5
    assert sale("another key").fingerprint == original.fingerprint


def test_a_reference_cannot_be_shifted_into_an_entry() -> None:
    plain = draft("k", entry("a", -1), entry("b", 1), reference_id="x")
    with pytest.raises(InvalidArgument):
        draft("k", entry("b", 1), entry("c", -1), reference_id="x\na -1 USD")
    assert plain.fingerprint != draft("k", *plain.entries, reference_id="x a").fingerprint


@pytest.mark.parametrize(
    ("other", "fields"),
    [
        (sale("k", fee_minor=31), "entries[1].amount.amount_minor, entries[2].amount.amount_minor"),
        (draft("k", *sale("k").entries, reference_id="pay_2"), "reference_id"),
        (draft("k", *sale("k").entries, *_PAIR), "entries"),
    ],
)
def test_differences_are_named_by_field(other: TransactionDraft, fields: str) -> None:
    assert ", ".join(sale("k").differences(other)) == fields
