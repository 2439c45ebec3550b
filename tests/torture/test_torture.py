"""kill -9 at every named place and at any moment, under load: once all is quiet, all is well.

The routine run kills a score of processes; SWITCHYARD_TEST_LONG makes that five hundred.
`make torture` runs any number with any seed.
"""

import os
import random
from itertools import islice
from pathlib import Path

import pytest

from services.kernel.crash_points import CrashPoint
from tests.conftest import DatabaseUrls
from tests.torture.blows import OPERATIONS, Blow, blows, places
from tests.torture.stage import stage
from tests.torture.storm import Outcome, rage

_LONG = bool(os.environ.get("SWITCHYARD_TEST_LONG"))
_CYCLES = 500 if _LONG else 21
_KAFKA = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")


async def _storm(
    urls: DatabaseUrls, folder: Path, *, seed: int, cycles: int, bootstrap: str | None
) -> Outcome:
    async with stage(urls, folder, seed, bootstrap) as scene:
        return await rage(scene, seed=seed, cycles=cycles)


@pytest.mark.slow
async def test_no_money_is_lost_or_doubled_and_no_payment_stuck_however_processes_die(
    database_urls: DatabaseUrls, short_tmp_path: Path
) -> None:
    outcome = await _storm(database_urls, short_tmp_path, seed=11, cycles=_CYCLES, bootstrap=None)
    assert not outcome.violations, outcome
    assert outcome.cycles == _CYCLES
    assert outcome.report.payments["captured"] > 0
    assert outcome.report.outside["returns succeeded"] > 0
    assert outcome.news["processed"] > 0


@pytest.mark.slow
@pytest.mark.skipif(_KAFKA is None, reason="KAFKA_BOOTSTRAP_SERVERS is not set")
async def test_the_same_with_kafka_as_the_bus(
    database_urls: DatabaseUrls, short_tmp_path: Path
) -> None:
    outcome = await _storm(database_urls, short_tmp_path, seed=12, cycles=_CYCLES, bootstrap=_KAFKA)
    assert not outcome.violations, outcome


def test_every_place_and_operation_has_its_turn_before_any_is_repeated() -> None:
    every = places(broker=True)
    turn = list(islice(blows(random.Random(5), broker=True), len(every)))
    assert sorted((str(each.point), each.operation) for each in turn) == sorted(
        (str(point), operation) for point, operation in every
    )
    for point in (CrashPoint.ATTEMPT_COMMITTED, CrashPoint.PROCESSOR_ANSWERED):
        assert {each.operation for each in turn if each.point is point} == set(OPERATIONS)
    assert {each.point for each in turn} == {None, *CrashPoint}


def test_the_same_seed_gives_the_same_blows() -> None:
    def drawn() -> list[Blow]:
        return list(islice(blows(random.Random(9), broker=False), 50))

    assert drawn() == drawn()
