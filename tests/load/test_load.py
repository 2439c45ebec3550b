"""The load at a hundredth of its size: what must hold on any machine, however busy, holds.

`make load` measures everything at full size.
"""

from pathlib import Path

import pytest

from tests.load.measured import Measured, Sizes, percentile
from tests.load.run import load


@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_broken_when_many_come_at_once(
    short_tmp_path: Path,
) -> None:
    said: list[Measured] = []
    found = await load(short_tmp_path, sizes=Sizes(0.01), seed=17, say=said.append)
    assert said == found
    assert [each for each in found if not each.is_held and not each.needs_quiet] == []
    assert sum(not each.needs_quiet for each in found) >= 10


def test_the_full_size_is_what_was_promised() -> None:
    full = Sizes(1.0)
    assert (full.intents, full.same_key, full.burst, full.slow) == (1_000, 100, 10_000, 100)
    assert (full.stream_per_second, full.stream_seconds) == (100, 60)


def test_a_percentile_is_of_the_whole() -> None:
    assert percentile([1.0] * 98 + [9.0, 9.0], 95) == 1.0
    assert percentile([1.0] * 98 + [9.0, 9.0], 99) == 9.0
