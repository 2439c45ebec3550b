"""Amounts: what each way of writing one means, and that nothing is lost on the way."""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.reading import Caller, Refusal
from services.kernel.money import MAX_AMOUNT_MINOR, Currency, Money
from tests.gateway.reading.requests import MERCHANT, send, send_payment, shown

ALL_CURRENCIES = Currency.all()
amounts_minor = st.one_of(
    st.integers(1, 10_000_000), st.integers(1, MAX_AMOUNT_MINOR), st.just(MAX_AMOUNT_MINOR)
)
moneys = st.builds(Money, amounts_minor, st.sampled_from(ALL_CURRENCIES))

# Group separator, decimal separator, and whether the code stands before the number.
LOCALES = {
    "en": (",", ".", True),
    "de": (".", ",", False),
    "fr": ("\u202f", ",", False),
    "sv": ("\u00a0", ",", False),
    "de-CH": ("\u2019", ".", True),
    "en-IN": (",", ".", True),
    "ar": ("\u066c", "\u066b", False),
    "plain": ("", ".", False),
}


def formatted(money: Money, locale: str) -> str:
    """The amount as people of that locale write it, all decimals included."""
    separator, point, is_code_first = LOCALES[locale]
    whole, _, decimals = money.decimal_text.partition(".")
    sizes = [3, 2] if locale == "en-IN" else [3]
    groups: list[str] = []
    while whole:
        size = sizes[min(len(groups), len(sizes) - 1)]
        groups.insert(0, whole[-size:])
        whole = whole[:-size]
    number = separator.join(groups) + (point + decimals if decimals else "")
    if locale == "ar":
        number = number.translate({ord(str(digit)): 0x660 + digit for digit in range(10)})
    code = money.currency.code
    return f"{code}\u00a0{number}" if is_code_first else f"{number}\u00a0{code}"


def read_amount(amount: object, **others: object) -> Money:
    body = {"amount": amount, "method": "card", **others}
    return send_payment(json.dumps(body).encode()).context.amount


@given(moneys, st.sampled_from(sorted(LOCALES)))
@example(Money(1500, Currency("KWD")), "de")
@example(Money(1234, Currency("JPY")), "de")
@example(Money(12_345_678, Currency("INR")), "en-IN")
def test_an_amount_written_for_people_reads_back_the_same(money: Money, locale: str) -> None:
    text = formatted(money, locale)
    if "[card number]" in _masked(text):
        return
    assert read_amount(text) == money


def _masked(text: str) -> str:
    try:
        read_amount(text)
    except Refusal as refusal:
        return refusal.issues[0].raw
    return ""


@given(st.integers(1, 10**12 - 1), st.sampled_from(ALL_CURRENCIES))
def test_a_bare_integer_counts_minor_units_in_every_currency(
    amount_minor: int, currency: Currency
) -> None:
    money = Money(amount_minor, currency)
    assert read_amount(amount_minor, currency=currency.code) == money
    assert read_amount(str(amount_minor), currency=currency.code.lower()) == money


@given(st.decimals(min_value="0.01", max_value="9999999999", places=2))
def test_a_decimal_number_is_exact(number: Decimal) -> None:
    body = f'{{"amount": {number}, "currency": "USD", "method": "card"}}'.encode()
    amount = send_payment(body).context.amount
    assert amount.decimal_text == str(number)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"amount": 9007199254740993.01}', None),
        ('{"amount": 0.1e1}', None),
        ('{"amount": 1e999999999}', "AMOUNT_INVALID"),
        ('{"amount": 1e-999999999}', "AMOUNT_INVALID"),
        ('{"amount": 0e999999999}', "AMOUNT_INVALID"),
        ('{"amount": -0.0}', "AMOUNT_INVALID"),
        ('{"amount": 12.505}', "AMOUNT_INVALID"),
        ('{"amount": 9223372036854775807}', None),
        ('{"amount": 9223372036854775808}', "AMOUNT_INVALID"),
        ('{"amount": "92233720368547758.07 USD"}', None),
        ('{"amount": "92233720368547758.08 USD"}', "AMOUNT_INVALID"),
        ('{"amount": "' + "9" * 5000 + '"}', "AMOUNT_INVALID"),
        ('{"amount": -1}', "AMOUNT_INVALID"),
        ('{"amount": "-$5"}', "AMOUNT_INVALID"),
        ('{"amount": "5.00-"}', "AMOUNT_INVALID"),
        ('{"amount": ""}', "AMOUNT_INVALID"),
        ('{"amount": "1,23,4"}', "AMOUNT_INVALID"),
        ('{"amount": "1.234,567.89"}', "AMOUNT_INVALID"),
        ('{"amount": "0,123"}', "AMOUNT_INVALID"),
        ('{"amount": "10 cents"}', "AMOUNT_INVALID"),
        ('{"amount": true}', "AMOUNT_INVALID"),
        ('{"amount": [1250]}', "AMOUNT_INVALID"),
        ('{"amount": {}}', "AMOUNT_INVALID"),
        ('{"amount": null}', "AMOUNT_MISSING"),
        ('{"amount": "10 XYZ"}', "CURRENCY_UNKNOWN"),
        ('{"amount": 10, "currency": "XAU"}', "CURRENCY_UNKNOWN"),
        ('{"amount": 10, "currency": 840}', "CURRENCY_UNKNOWN"),
        ('{"amount": {"value": 10, "currency": "EUR"}, "currency": "USD"}', "INVALID_ARGUMENT"),
        ('{"amount": {"value": 10, "amount": 11}}', "INVALID_ARGUMENT"),
        ('{"amount_cents": "10.00"}', "AMOUNT_INVALID"),
        ('{"amount_cents": "1000"}', None),
    ],
)
def test_the_edges_of_what_an_amount_may_be(body: str, reason: str | None) -> None:
    if reason is None:
        assert send_payment(body.encode()).context.amount.is_positive
        return
    with pytest.raises(Refusal) as refused:
        send_payment(body.encode())
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("amount", "currency", "default", "expected"),
    [
        ("$10", None, "CAD", "10.00 CAD"),
        ("$10", None, "EUR", "10.00 USD"),
        ("$10", "CAD", "USD", "10.00 CAD"),
        ("$10", "EUR", "USD", "10.00 USD"),
        ("US$10", "CAD", "CAD", "10.00 USD"),
        ("¥100", "CNY", "USD", "100.00 CNY"),
        ("¥100", None, "USD", "100 JPY"),
        ("100 kr", "SEK", "USD", "100.00 SEK"),
        ("100 kr", None, "NOK", "100.00 NOK"),
        ("kr. 100,-", "DKK", "USD", "100.00 DKK"),
        ("Rs.500", "INR", "USD", "500.00 INR"),
        ("$10 AUD", None, "USD", "10.00 AUD"),
        ("USD $10", None, "EUR", "10.00 USD"),
        ("10", "£", "USD", "0.10 GBP"),
        ("10 Euro", None, "USD", "10.00 EUR"),
        ("R$ 1.234,56", None, "USD", "1234.56 BRL"),
        ("1.234.567 ₫", None, "USD", "1234567 VND"),
    ],
)
def test_a_symbol_means_what_the_field_or_the_default_allows(
    amount: str, currency: str | None, default: str, expected: str
) -> None:
    body = json.dumps({"amount": amount, "currency": currency, "method": "card"}).encode()
    read = send_payment(body, caller=Caller(MERCHANT, None, Currency(default)))
    assert str(read.context.amount) == expected
    assert read.context.issues


def test_a_currency_that_contradicts_the_amount_leaves_an_issue() -> None:
    context = send_payment(b'{"amount": "$10", "currency": "EUR", "method": "card"}').context
    (issue,) = [issue for issue in context.issues if issue.rule == "amount.currency_wins"]
    assert (issue.field, issue.raw, issue.coerced) == ("amount", "$10", "USD")


def test_an_amount_of_a_split_in_another_currency_is_refused() -> None:
    body = (
        b'{"amount": 100, "currency": "USD", "steps": [{"method": "card", "max_amount": "5 EUR"}]}'
    )
    with pytest.raises(Refusal) as refused:
        send_payment(body)
    assert refused.value.param == "steps[0].max_amount"


def test_a_split_is_read_in_the_currency_of_the_payment() -> None:
    text = (
        '{"amount": "$100", "currency": "CAD", "method": "card", "splitPolicy": "PARTIAL",'
        ' "steps": [{"method": "Apple Pay", "maxAmount": "$60"}, {"method": "card"}]}'
    )
    values = shown(send(text))
    assert values["split_policy"] == "partial"
    assert values["steps"] == [
        {"method": "apple_pay", "max_amount": 6000},
        {"method": "card", "max_amount": None},
    ]
