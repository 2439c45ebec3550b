"""Quotas slide: never more within any window than they allow, and what waits is told how long."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.quota import (
    SUB_WINDOWS,
    Draw,
    Entry,
    Quota,
    QuotaKey,
    Tally,
    draw_all,
)
from tests.plan_builder.orders import MERCHANT

_SECOND_US = 1_000_000
_KEY = QuotaKey(MERCHANT, "attempts.per_user", "ada")


def _quota(**bounds: Any) -> Quota:
    return Quota(**{"key": _KEY, "window": timedelta(seconds=10), **bounds})


def _drawn(quota: Quota, draws: Sequence[tuple[int, int]]) -> tuple[Tally, list[tuple[int, int]]]:
    """What is admitted of draws that come one after another, each a moment and an amount."""
    tally, admitted = Tally(), []
    for at_us, amount_minor in draws:
        draw = Draw(quota, amount_minor)
        if tally.wait_for(draw, at_us) is None:
            tally.add(draw, at_us)
            admitted.append((at_us, amount_minor))
    return tally, admitted


def test_an_attempt_leaves_its_window_to_the_microsecond() -> None:
    quota = _quota(max_count=2)
    tally, _ = _drawn(quota, [(0, 0), (3 * _SECOND_US, 0)])
    assert tally.wait_for(Draw(quota), 4 * _SECOND_US) == 6 * _SECOND_US
    assert tally.wait_for(Draw(quota), 10 * _SECOND_US - 1) == 1
    assert tally.wait_for(Draw(quota), 10 * _SECOND_US) is None


def test_a_limit_that_was_lowered_waits_until_enough_have_left() -> None:
    tally, _ = _drawn(_quota(max_count=5), [(second * _SECOND_US, 0) for second in range(5)])
    wait_us = tally.wait_for(Draw(_quota(max_count=2)), 5 * _SECOND_US)
    # Four of the five must go, and the fourth came in the fourth second.
    assert wait_us == 8 * _SECOND_US


@pytest.mark.parametrize(
    ("amounts", "asked", "wait_us"),
    [([60, 40], 1, 8 * _SECOND_US), ([60, 39], 1, None), ([10, 60], 80, 9 * _SECOND_US)],
)
def test_money_is_drawn_to_the_last_unit(
    amounts: list[int], asked: int, wait_us: int | None
) -> None:
    quota = _quota(max_amount_minor=100)
    tally, _ = _drawn(quota, [(place * _SECOND_US, each) for place, each in enumerate(amounts)])
    assert tally.wait_for(Draw(quota, asked), 2 * _SECOND_US) == wait_us


_MOMENTS = st.lists(
    st.tuples(st.integers(0, 40 * _SECOND_US), st.integers(0, 60)), max_size=80
).map(sorted)


@given(draws=_MOMENTS, max_count=st.integers(0, 6), max_amount=st.none() | st.integers(1, 200))
def test_exact_quotas_admit_all_that_fits_and_nothing_else(
    draws: list[tuple[int, int]], max_count: int, max_amount: int | None
) -> None:
    quota = _quota(max_count=max_count or 1, max_amount_minor=max_amount)
    window = quota.window_us
    admitted: list[tuple[int, int]] = []
    for at_us, amount in draws:
        inside = [each for each in admitted if each[0] > at_us - window]
        has_count = len(inside) + 1 <= quota.max_count
        has_money = max_amount is None or sum(each[1] for each in inside) + amount <= max_amount
        if has_count and has_money:
            admitted.append((at_us, amount))
    assert _drawn(quota, draws)[1] == admitted


@given(draws=_MOMENTS, max_amount=st.integers(1, 400))
def test_a_quota_kept_by_sub_windows_is_never_exceeded_and_at_most_one_late(
    draws: list[tuple[int, int]], max_amount: int
) -> None:
    quota = _quota(max_amount_minor=max_amount)
    tally, admitted = _drawn(quota, draws)
    for at_us, _ in admitted:
        inside = (amount for when, amount in admitted if at_us - quota.window_us < when <= at_us)
        assert sum(inside) <= max_amount
    assert len(tally.entries) <= SUB_WINDOWS + 1
    for at_us, amount in draws:
        longer = at_us - quota.window_us - quota.sub_window_us
        inside = (each for when, each in admitted if longer < when <= at_us)
        if (at_us, amount) not in admitted:
            assert sum(inside) + amount > max_amount


def test_large_quotas_remember_a_bounded_number_of_moments() -> None:
    quota = _quota(max_count=100_000)
    tally, admitted = _drawn(quota, [(place * 997, 1) for place in range(20_000)])
    assert len(admitted) == 20_000
    assert len(tally.entries) <= SUB_WINDOWS + 1
    remembered = sum(entry.call_count for entry in tally.entries)
    inside = sum(at_us > admitted[-1][0] - quota.window_us for at_us, _ in admitted)
    assert inside <= remembered <= inside + quota.sub_window_us // 997 + 1


def test_a_clock_that_goes_back_makes_no_room() -> None:
    quota = _quota(max_count=3)
    tally, _ = _drawn(quota, [(20 * _SECOND_US, 0), (5 * _SECOND_US, 0), (21 * _SECOND_US, 0)])
    assert [entry.at_us for entry in tally.entries] == [20 * _SECOND_US, 21 * _SECOND_US]
    assert sum(entry.call_count for entry in tally.entries) == 3
    assert tally.wait_for(Draw(quota), 16 * _SECOND_US) == 14 * _SECOND_US


def test_several_of_one_subject_are_counted_one_after_another() -> None:
    tallies = {_KEY: Tally([Entry(0, 1, 0)])}
    refused = draw_all(tallies, dict.fromkeys(range(5), (Draw(_quota(max_count=3)),)), _SECOND_US)
    assert list(refused) == [2, 3, 4]
    assert refused[2].retry_after == timedelta(seconds=9)
    assert refused[2].details == {
        "rule": "attempts.per_user",
        "window_seconds": "10",
        "max_count": "3",
    }


def test_who_is_refused_by_one_quota_draws_nothing_of_the_others() -> None:
    roomy = _quota(key=_KEY._replace(rule="velocity.merchant.10s"), max_count=9)
    money = _quota(
        key=_KEY._replace(rule="velocity.user.60s.USD"),
        window=timedelta(seconds=60),
        max_amount_minor=5,
    )
    tallies = {quota.key: Tally() for quota in (roomy, money)}
    asked = {0: (Draw(roomy), Draw(money, 5)), 1: (Draw(roomy), Draw(money, 1)), 2: (Draw(roomy),)}
    refused = draw_all(tallies, asked, 0)
    assert list(refused) == [1]
    assert refused[1].details["rule"] == "velocity.user.60s.USD"
    assert sum(entry.call_count for entry in tallies[roomy.key].entries) == 2


def test_who_is_refused_by_several_waits_for_the_last_of_them() -> None:
    short = _quota(max_count=1)
    long = _quota(key=_KEY._replace(rule="long"), max_count=1, window=timedelta(seconds=60))
    tallies = {short.key: Tally(), long.key: Tally()}
    refused = draw_all(tallies, dict.fromkeys((0, 1), (Draw(short), Draw(long))), 0)
    assert refused[1].retry_after == timedelta(seconds=60)
