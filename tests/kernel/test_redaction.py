"""Redaction: no card number or security code gets by, and what only resembles one does."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.kernel.ids import PaymentId
from services.kernel.redaction import (
    API_KEY_MASK,
    find_card_data,
    find_card_numbers,
    redact,
    redact_text,
)

CARDS = [
    "4242424242424242",
    "4000056655665556",
    "5555555555554444",
    "2223003122003222",
    "2720990000000007",
    "378282246310005",
    "6011111111111117",
    "3056930009020004",
    "36227206271667",
    "3566002020360505",
    "6205500000000000004",
    "4222222222222",
    "4000000000003220",
    "4000000000009995",
]


def luhn_completed(beginning: str) -> str:
    """The number with the check digit that makes it pass, counted as the standard tells it."""
    total = 0
    for position, digit in enumerate(reversed(beginning)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return beginning + str(-total % 10)


def of_length(beginning: str, length: int) -> st.SearchStrategy[str]:
    missing = length - len(beginning) - 1
    rest = st.text("0123456789", min_size=missing, max_size=missing)
    return rest.map(lambda digits: luhn_completed(beginning + digits))


issuers = [("4", 13), ("4", 16), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16)]
issuers += [
    ("34", 15),
    ("37", 15),
    ("36", 14),
    ("3528", 16),
    ("6011", 16),
    ("62", 19),
    ("2200", 16),
]
cards = st.sampled_from(issuers).flatmap(lambda issuer: of_length(*issuer))
# No digits, which would be part of the number, and too short to make it look like a digest.
around = st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=6)


def in_groups(number: str, size: int, separator: str) -> str:
    return separator.join(number[i : i + size] for i in range(0, len(number), size))


@pytest.mark.parametrize("card", CARDS)
def test_known_test_cards_are_found_exactly(card: str) -> None:
    assert find_card_numbers(f"pay with {card}, please") == [(9, 9 + len(card))]


@given(around, cards, around)
def test_a_card_is_masked_whatever_stands_around_it(before: str, card: str, after: str) -> None:
    redacted = redact_text(before + card + after)
    assert card not in redacted
    assert "[card number]" in redacted


@given(
    cards,
    st.sampled_from([3, 4, 5, 6]),
    st.sampled_from([" ", "-", "  ", " -", "\u00a0", "\u2011"]),
)
def test_a_card_written_in_groups_is_masked_whole(card: str, size: int, separator: str) -> None:
    assert redact_text(f"card: {in_groups(card, size, separator)}.") == "card: [card number]."


@pytest.mark.parametrize(
    "text",
    [
        "4242.4242.4242.4242",
        "3782 822463 10005",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
        "42-42-42-42-42-42-42-42",
        "\u0664\u0662" * 8,
        "\uff14\uff12" * 8,
    ],
)
def test_unusual_writing_hides_nothing(text: str) -> None:
    assert redact_text(text) == "[card number]"


def test_every_card_of_several_is_masked() -> None:
    text = f"{CARDS[0]},{CARDS[2]} then 2026-11-21 {in_groups(CARDS[1], 4, ' ')} and {CARDS[5]}!"
    assert redact_text(text) == (
        "[card number],[card number] then 2026-11-21 [card number] and [card number]!"
    )


@given(cards, st.integers(0, 18), st.integers(1, 9))
def test_one_wrong_digit_makes_it_no_card(card: str, position: int, shift: int) -> None:
    position %= len(card)
    wrong = str((int(card[position]) + shift) % 10)
    assert find_card_numbers(card[:position] + wrong + card[position + 1 :]) == []


@pytest.mark.parametrize(
    "text",
    [
        luhn_completed("170000000000"),
        luhn_completed("199999999999"),
        luhn_completed("170000000000000"),
        luhn_completed("170000000000000000"),
        luhn_completed("900000000000000"),
        luhn_completed("42424242424242424242"),
        luhn_completed("42424242424"),
        luhn_completed("4242424242424"),
        luhn_completed("2721424242424242"[:15]),
        luhn_completed("2220424242424242"[:15]),
        "0." + "4242424242424242",
        "latency 424.2424242424242 ms",
        "9223372036854775807",
        "4242424242424242" * 2,
        "00000000-4242-7242-8242-424242424242",
        "sha 4242424242424242abcdef4242424242424242",
        "30-12-2026 10-15-07",
        "+49 30 1234567 ext 12",
    ],
)
def test_what_only_resembles_a_card_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


@given(st.datetimes().map(lambda moment: f"{moment.isoformat()}Z {moment}"))
def test_times_are_left_alone(text: str) -> None:
    assert redact_text(text) == text


def test_our_own_ids_are_left_alone() -> None:
    text = " ".join(PaymentId.new() for _ in range(20_000))
    assert redact_text(text) == text


@pytest.mark.parametrize("label", ["syk_", "a syk_", "xsyk_"])
def test_an_api_key_that_looks_like_an_id_is_masked(label: str) -> None:
    assert API_KEY_MASK in redact_text(label + PaymentId.new().hex)


@pytest.mark.parametrize("beginning", ["sk_test_", "sk_live_", "rk_live_", "rk_test_", "whsec_"])
def test_a_key_of_stripe_s_is_masked(beginning: str) -> None:
    secret = beginning + "4eC39HqLyjWDarjtT1zdp7dc"
    assert redact_text(f"called with {secret}.") == f"called with {API_KEY_MASK}."
    assert find_card_data({"key": secret}) == ()


@given(st.from_regex(r"[a-z]{1,8}_?[0-9a-f]{31,33}", fullmatch=True))
def test_what_looks_like_an_id_is_redacted_as_it_is_within_a_text(text: str) -> None:
    assert redact_text(text) == redact_text(f"{text} ").removesuffix(" ")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("cvc=123", "cvc=[redacted]"),
        ("CVV: 1234", "CVV: [redacted]"),
        ('{"cvc": "123", "n": 5}', '{"cvc": "[redacted]", "n": 5}'),
        ("card[cvc]=314&amount=1250", "card[cvc]=[redacted]&amount=1250"),
        ("card%5Bcvc%5D=314", "card%5Bcvc%5D=[redacted]"),
        ("the security code is 123.", "the security code is [redacted]."),
        ("cardCvv2=999", "cardCvv2=[redacted]"),
        ("cvc 4242 4242 4242 4242", "cvc [card number]"),
        ("cvc_check: pass", "cvc_check: pass"),
        ("cvc 12345", "cvc 12345"),
        ("amount 123", "amount 123"),
        ("error code: 500", "error code: 500"),
    ],
)
def test_a_labelled_security_code_is_masked(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@given(st.lists(st.one_of(around, cards, st.text(" .-0123456789"), st.sampled_from(["cvc", "is"]))))
@example(["4000000000006.4000000000006"])
@example(["4242.4242.4242.4242.4242424242424242"])
@example(["cvc 000.4000000000006"])
@example(["cvc 123 4242 4242 4242 4242 456 cvc"])
def test_redacting_twice_changes_nothing_more(pieces: list[str]) -> None:
    once = redact_text("".join(pieces))
    assert redact_text(once) == once


def test_nested_values_are_redacted_by_content_and_by_name() -> None:
    card = CARDS[0]
    given_value = {
        "card": {"number": "4242424242424241", "cvc": 123, "exp_month": 12, "cvc_check": "pass"},
        "cardNumber": int(card),
        "CVV2": ["999"],
        "items": [card, ("ok", f"my {card}"), 1.5, True, None],
        "body": f'{{"cvc": "123", "pan": "{card}"}}'.encode() + b"\xff",
        "loyalty": 4.242424242424242e15,
        f"key {card}": "x",
        "japan": 123,
        "huge": 10**5000,
    }

    assert redact(given_value) == {
        "card": {
            "number": "[card number]",
            "cvc": "[redacted]",
            "exp_month": 12,
            "cvc_check": "pass",
        },
        "cardNumber": "[card number]",
        "CVV2": ["[redacted]"],
        "items": ["[card number]", ("ok", "my [card number]"), 1.5, True, None],
        "body": b'{"cvc": "[redacted]", "pan": "[card number]"}\xff',
        "loyalty": "[card number].0",
        "key [card number]": "x",
        "japan": 123,
        "huge": 10**5000,
    }


def test_a_field_is_known_by_the_end_of_a_long_path() -> None:
    assert find_card_data({"a" * 100: {"cvc": "123"}}) == ("a" * 100 + ".cvc",)


def test_redaction_never_goes_deeper_than_it_can() -> None:
    nested: object = CARDS[0]
    for _ in range(2_000):
        nested = {"a": [nested]}

    assert CARDS[0] not in str(redact(nested))
    assert "[too deep]" in str(redact(nested))
    assert len(find_card_data(nested)) == 1


def test_the_fields_that_hold_card_data_are_named() -> None:
    body = {
        "amount": 1250,
        "card": {"number": CARDS[0], "cvc": 123, "exp_year": 2030},
        "items": [{"note": "none"}, {"note": f"card {CARDS[5]}"}],
        "cvv": ["123"],
        "nothing": [None, True, float("nan"), "", 10**5000],
        CARDS[2]: "x",
    }

    assert find_card_data(body) == (
        "[card number]",
        "card.cvc",
        "card.number",
        "cvv[0]",
        "items[1].note",
    )


@pytest.mark.parametrize(
    "piece",
    ["4", "4 ", "42 ", "4242 ", "12 34 ", "4242424242424242,", "cvc", "is", "%5d", "a", "f-0"],
)
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    text = "cvc" + piece * (100_000 // len(piece))
    started = time.perf_counter()
    redact_text(text)
    # A tenth of a second on an idle machine; a quadratic search would take minutes.
    assert time.perf_counter() - started < 10
