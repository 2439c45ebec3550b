"""Money and currencies: in range, one currency at a time, read and written exactly."""

from collections.abc import Callable
from decimal import Decimal
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.money import MAX_AMOUNT_MINOR, MIN_AMOUNT_MINOR, Currency, Money

USD, EUR, JPY, KWD, CLF = (Currency(code) for code in ("USD", "EUR", "JPY", "KWD", "CLF"))

currencies = st.sampled_from(Currency.all())
any_minor = st.integers(MIN_AMOUNT_MINOR, MAX_AMOUNT_MINOR)


def usd(amount_minor: int) -> Money:
    return Money(amount_minor, USD)


def refusal_of(error: pytest.ExceptionInfo[InvalidArgument]) -> tuple[Reason, str]:
    return error.value.reason, error.value.violations[0].rule


@pytest.mark.parametrize(
    ("code", "exponent"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("ISK", 0),
        ("KWD", 3),
        ("BHD", 3),
        ("CLF", 4),
        ("HUF", 2),
        ("TWD", 2),
        ("UGX", 0),
        ("XOF", 0),
    ],
)
def test_exponents_are_those_of_iso_4217(code: str, exponent: int) -> None:
    assert Currency(code).exponent == exponent


@pytest.mark.parametrize(
    "code", ["XXX", "XTS", "XAU", "XDR", "ZZZ", "DEM", "usd", "US", "", "USD "]
)
def test_what_cannot_be_paid_in_is_no_currency(code: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        Currency(code)
    assert refusal_of(error) == (Reason.CURRENCY_UNKNOWN, "currency.known")


def test_a_refused_currency_is_named_only_if_it_looks_like_one() -> None:
    with pytest.raises(InvalidArgument, match="unknown currency ZZZ"):
        Currency("ZZZ")
    with pytest.raises(InvalidArgument) as error:
        Currency("4242424242424242")
    assert "4242" not in str(error.value)


@pytest.mark.parametrize("amount_minor", [MIN_AMOUNT_MINOR - 1, MAX_AMOUNT_MINOR + 1])
def test_an_amount_beyond_64_bits_is_refused(amount_minor: int) -> None:
    with pytest.raises(InvalidArgument) as error:
        usd(amount_minor)
    assert refusal_of(error) == (Reason.AMOUNT_INVALID, "amount.range")


@pytest.mark.parametrize("amount_minor", [MIN_AMOUNT_MINOR, -1, 0, 1, MAX_AMOUNT_MINOR])
def test_the_ends_of_64_bits_are_amounts(amount_minor: int) -> None:
    assert usd(amount_minor).amount_minor == amount_minor


@pytest.mark.parametrize("amount", [12.0, True, "12", Decimal(12), None])
def test_minor_units_are_whole_numbers_and_nothing_else(amount: object) -> None:
    with pytest.raises(TypeError, match="minor units are an int"):
        usd(cast("int", amount))


def test_sums_and_differences_past_64_bits_are_refused() -> None:
    overflows: list[Callable[[], object]] = [
        lambda: usd(MAX_AMOUNT_MINOR) + usd(1),
        lambda: usd(MIN_AMOUNT_MINOR) - usd(1),
        lambda: -usd(MIN_AMOUNT_MINOR),
        lambda: abs(usd(MIN_AMOUNT_MINOR)),
        lambda: usd(2**62) * 2,
        lambda: Money.total([usd(MAX_AMOUNT_MINOR), usd(1)], USD),
    ]
    for overflow in overflows:
        with pytest.raises(InvalidArgument) as error:
            overflow()
        assert error.value.reason is Reason.AMOUNT_INVALID


def test_currencies_never_mix() -> None:
    dollars, euros = usd(100), Money(100, EUR)
    mixtures: list[Callable[[], object]] = [
        lambda: dollars + euros,
        lambda: dollars - euros,
        lambda: dollars < euros,
        lambda: dollars <= euros,
        lambda: dollars > euros,
        lambda: dollars >= euros,
        lambda: Money.total([dollars, euros], USD),
        lambda: dollars.proportion(dollars, euros),
    ]
    for mix in mixtures:
        with pytest.raises(InvalidArgument) as error:
            mix()
        assert refusal_of(error) == (Reason.INVALID_ARGUMENT, "currency.same")
    assert dollars != euros


def test_amounts_of_one_currency_add_subtract_and_compare() -> None:
    assert usd(60) + usd(40) == usd(100)
    assert usd(60) - usd(100) == usd(-40)
    assert -usd(5) == usd(-5)
    assert abs(usd(-5)) == usd(5)
    assert usd(5) * 3 == usd(15)
    assert usd(1) < usd(2) <= usd(2) < usd(3)
    assert usd(3) > usd(2) >= usd(2) > usd(1)
    assert not usd(2) < usd(2)
    assert not usd(2) > usd(2)
    assert max(usd(1), usd(3), usd(2)) == usd(3)
    assert len({usd(1), usd(1), Money(1, EUR)}) == 2
    assert Money.total([usd(1), usd(2)], USD) == usd(3)
    assert Money.total([], EUR) == Money.zero(EUR)


def test_the_sign_of_an_amount_is_told_apart() -> None:
    signs = [(m.is_negative, m.is_zero, m.is_positive) for m in (usd(-1), usd(0), usd(1))]
    assert signs == [(True, False, False), (False, True, False), (False, False, True)]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (usd(1234), "12.34 USD"),
        (usd(5), "0.05 USD"),
        (usd(-5), "-0.05 USD"),
        (usd(0), "0.00 USD"),
        (Money(1234, JPY), "1234 JPY"),
        (Money(-7, JPY), "-7 JPY"),
        (Money(1234, KWD), "1.234 KWD"),
        (Money(1, CLF), "0.0001 CLF"),
    ],
)
def test_money_is_written_with_all_the_decimals_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@given(any_minor, currencies)
def test_what_is_written_is_read_back(amount: int, currency: Currency) -> None:
    money = Money(amount, currency)
    assert Money.parse(money.decimal_text, currency) == money


@pytest.mark.parametrize(
    ("text", "amount_minor"),
    [
        ("12.34", 1234),
        ("12.3", 1230),
        ("12", 1200),
        ("-0.05", -5),
        ("007", 700),
        ("-0", 0),
        ("92233720368547758.07", MAX_AMOUNT_MINOR),
        ("0" * 5000 + "1", 100),
    ],
)
def test_a_plain_decimal_is_read_exactly(text: str, amount_minor: int) -> None:
    assert Money.parse(text, USD) == usd(amount_minor)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        ".5",
        "5.",
        "+5",
        " 5",
        "5 ",
        "5\n",
        "1,234",
        "1_000",
        "$5",
        "1e3",
        "0x10",
        "NaN",
        "--5",
        "5.0.0",
        "\u0665",
        "\uff15",
        "five",
    ],
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        Money.parse(text, USD)
    assert refusal_of(error) == (Reason.AMOUNT_INVALID, "amount.decimal")


@pytest.mark.parametrize(
    ("text", "currency"), [("12.345", USD), ("12.340", USD), ("1.0", JPY), ("1.2345", KWD)]
)
def test_more_decimals_than_the_currency_has_are_refused(text: str, currency: Currency) -> None:
    with pytest.raises(InvalidArgument) as error:
        Money.parse(text, currency)
    assert refusal_of(error) == (Reason.AMOUNT_INVALID, "amount.precision")


@pytest.mark.parametrize("text", ["92233720368547758.08", "-92233720368547758.09", "9" * 10_000])
def test_a_decimal_beyond_64_bits_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        Money.parse(text, USD)
    assert refusal_of(error) == (Reason.AMOUNT_INVALID, "amount.range")
