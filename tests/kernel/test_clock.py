"""Clocks: the real one is aware and steady, the manual one moves only when told."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.kernel.clock import Clock, ManualClock, SystemClock

MONTH_END = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)


def test_system_clock_tells_utc_and_never_steps_back() -> None:
    clock: Clock = SystemClock()
    before, after = clock.monotonic(), clock.monotonic()

    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert after >= before


def test_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(MONTH_END)
    start_seconds = clock.monotonic()
    assert clock.now() == MONTH_END

    clock.advance(timedelta(seconds=1.5))

    assert clock.now() == MONTH_END + timedelta(seconds=1.5)
    assert clock.monotonic() - start_seconds == pytest.approx(1.5)


def test_setting_the_wall_clock_back_leaves_the_monotonic_one_alone() -> None:
    clock = ManualClock(MONTH_END)
    clock.advance(timedelta(hours=1))
    before_seconds = clock.monotonic()

    clock.set(MONTH_END - timedelta(days=1))

    assert clock.now() == MONTH_END - timedelta(days=1)
    assert clock.monotonic() == before_seconds


def test_manual_clock_answers_in_utc_whatever_zone_it_was_given() -> None:
    tokyo = timezone(timedelta(hours=9))
    clock = ManualClock(datetime(2026, 2, 1, 8, 59, 59, tzinfo=tokyo))

    assert clock.now() == MONTH_END
    assert clock.now().utcoffset() == timedelta(0)


def test_manual_clock_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 -- the mistake being refused


def test_manual_clock_does_not_advance_backwards() -> None:
    clock = ManualClock(MONTH_END)
    with pytest.raises(ValueError, match="only advances"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == MONTH_END
