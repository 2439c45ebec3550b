"""Splitting, sharing and converting money: exact to the end, and never a unit lost."""

from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import MAX_AMOUNT_MINOR, MIN_AMOUNT_MINOR, Currency, Money

USD, EUR, JPY, KWD, CLF = (Currency(code) for code in ("USD", "EUR", "JPY", "KWD", "CLF"))

currencies = st.sampled_from(Currency.all())
any_minor = st.integers(MIN_AMOUNT_MINOR, MAX_AMOUNT_MINOR)
some_weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any)


def usd(amount_minor: int) -> Money:
    return Money(amount_minor, USD)


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (101, [1, 1, 1], [34, 34, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (100, [60, 40], [60, 40]),
        (1, [1, 1], [1, 0]),
        (1, [1, 2], [0, 1]),
        (10, [0, 1, 0], [0, 10, 0]),
        (5, [0, 3, 7], [0, 2, 3]),
        (0, [3, 4], [0, 0]),
        (7, [2, 2, 3], [2, 2, 3]),
        (MIN_AMOUNT_MINOR, [1], [MIN_AMOUNT_MINOR]),
    ],
)
def test_allocation_goes_by_largest_remainder(
    amount: int, weights: list[int], parts: list[int]
) -> None:
    assert usd(amount).allocate(weights) == tuple(usd(part) for part in parts)


@given(any_minor, some_weights)
def test_allocated_parts_always_sum_to_the_whole(amount: int, weights: list[int]) -> None:
    parts = usd(amount).allocate(weights)
    assert sum(part.amount_minor for part in parts) == amount
    assert len(parts) == len(weights)


@given(any_minor, some_weights)
def test_no_part_is_a_whole_unit_away_from_its_exact_share(amount: int, weights: list[int]) -> None:
    for part, weight in zip(usd(amount).allocate(weights), weights, strict=True):
        assert abs(part.amount_minor - Fraction(amount * weight, sum(weights))) < 1
        assert weight > 0 or part.is_zero


@given(st.integers(0, MAX_AMOUNT_MINOR), some_weights)
def test_a_negative_amount_is_split_as_its_mirror_image(amount: int, weights: list[int]) -> None:
    mirrored = tuple(-part for part in usd(-amount).allocate(weights))
    assert mirrored == usd(amount).allocate(weights)


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1, 2]])
def test_weights_that_mean_nothing_are_a_mistake(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        usd(100).allocate(weights)


@pytest.mark.parametrize(
    ("fee", "part", "whole", "share"),
    [
        (30, 50, 100, 15),
        (5, 50, 100, 2),
        (7, 50, 100, 4),
        (30, 0, 100, 0),
        (30, 100, 100, 30),
        (-5, 50, 100, -2),
        (10, 1, 3, 3),
    ],
)
def test_a_proportion_is_rounded_half_even(fee: int, part: int, whole: int, share: int) -> None:
    assert Money(fee, EUR).proportion(usd(part), usd(whole)) == Money(share, EUR)


@pytest.mark.parametrize(("part", "whole"), [(1, 0), (0, 0), (2, 1), (-1, 1), (-1, -1)])
def test_a_part_outside_its_whole_is_a_mistake(part: int, whole: int) -> None:
    with pytest.raises(ValueError, match="a part lies between"):
        usd(30).proportion(usd(part), usd(whole))


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**9), min_size=1, max_size=12))
def test_fee_shares_of_a_payment_refunded_in_parts_sum_to_the_fee(
    fee: int, refunds: list[int]
) -> None:
    captured = usd(sum(refunds))
    refunded = usd(0)
    shares = []
    for refund in refunds:
        shares.append(usd(fee).next_share(usd(refund), already=refunded, whole=captured))
        refunded += usd(refund)

    assert Money.total(shares, USD) == usd(fee)
    assert not any(share.is_negative for share in shares)


def test_a_share_of_less_than_nothing_or_past_the_whole_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not negative"):
        usd(30).next_share(usd(-1), already=usd(50), whole=usd(100))
    with pytest.raises(ValueError, match="a part lies between"):
        usd(30).next_share(usd(51), already=usd(50), whole=usd(100))


@pytest.mark.parametrize(
    ("amount", "count", "fee"),
    [
        (10_000, 290, 290),
        (1250, 290, 36),
        (50, 100, 0),
        (150, 100, 2),
        (250, 100, 2),
        (-150, 100, -2),
    ],
)
def test_basis_points_are_rounded_half_even(amount: int, count: int, fee: int) -> None:
    assert usd(amount).basis_points(count) == usd(fee)


@pytest.mark.parametrize(
    ("amount", "to", "rate", "converted"),
    [
        (usd(100), EUR, Decimal("0.925"), Money(92, EUR)),
        (usd(300), EUR, Decimal("0.925"), Money(278, EUR)),
        (usd(100), EUR, Decimal("0.935"), Money(94, EUR)),
        (usd(1000), JPY, Decimal("151.25"), Money(1512, JPY)),
        (Money(1000, JPY), USD, Fraction(100, 15125), usd(661)),
        (Money(1, JPY), KWD, Decimal("0.0021"), Money(2, KWD)),
        (Money(10_000, CLF), USD, Fraction(40), usd(4000)),
        (usd(-50), JPY, Fraction(1), Money(0, JPY)),
        (usd(-150), JPY, Fraction(1), Money(-2, JPY)),
    ],
)
def test_conversion_scales_by_exponent_and_rounds_half_even_once(
    amount: Money, to: Currency, rate: Fraction | Decimal, converted: Money
) -> None:
    assert amount.convert(to, rate) == converted


@given(
    st.integers(-(10**12), 10**12),
    currencies,
    currencies,
    st.fractions(min_value=Fraction(1, 10**6), max_value=10**4, max_denominator=10**6),
)
def test_a_conversion_is_within_half_a_unit_of_the_exact_one(
    amount: int, source: Currency, target: Currency, rate: Fraction
) -> None:
    converted = Money(amount, source).convert(target, rate)
    exact_units = Fraction(amount, 10**source.exponent) * rate
    assert abs(converted.amount_minor - exact_units * 10**target.exponent) <= Fraction(1, 2)


@given(any_minor, currencies)
def test_a_conversion_at_par_changes_nothing(amount: int, currency: Currency) -> None:
    assert Money(amount, currency).convert(currency, Fraction(1)) == Money(amount, currency)


@pytest.mark.parametrize("rate", [Decimal("NaN"), Decimal("Infinity"), Decimal(0), Fraction(-1)])
def test_a_rate_that_is_no_price_is_a_mistake(rate: Fraction | Decimal) -> None:
    with pytest.raises(ValueError, match="a rate is above zero"):
        usd(1).convert(EUR, rate)


def test_a_rate_is_never_a_float() -> None:
    with pytest.raises(TypeError, match="not float"):
        usd(1).convert(EUR, cast("Decimal", 0.925))
