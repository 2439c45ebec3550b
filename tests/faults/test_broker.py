"""The broker is stopped while people pay: they go on, and all is told of once it is back."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.conftest import DatabaseUrls
from tests.faults.aftermath import come_to_rest, verdict
from tests.faults.conftest import LONG, Tell
from tests.faults.load import WAYS, load
from tests.faults.scene import scene
from tests.messaging.engines import (
    ON_REAL_KAFKA,
    KafkaEngine,
    mock_engine,
    real_engine,
    start_broker,
)
from tests.torture.stage import stage

_PHASE_SECONDS = 60.0 if LONG else 3.0
# A busy machine makes payments slower; one that waited for the broker would take this whole phase.
_SLOWER_TIMES, _SLOWER_SECONDS = 3.0, 2.0

_WAITING = "select count(*) from messaging.outbox where relayed_at is null"


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaEngine]:
    """Kafka: the real one where tests may use it, and librdkafka's own mock elsewhere."""
    if ON_REAL_KAFKA:
        broker = start_broker(tmp_path)
        engine = real_engine(broker)
        engine.make_topics()
        yield engine
        broker.stop()
        shutil.rmtree(tmp_path)
    else:
        engine = mock_engine()
        yield engine
        engine.close()


async def test_payments_do_without_the_broker_and_events_follow_once_it_is_back(
    kafka: KafkaEngine, database_urls: DatabaseUrls, short_tmp_path: Path, tell: Tell
) -> None:
    async with (
        stage(database_urls, short_tmp_path, seed=7, bootstrap=kafka.bootstrap) as made,
        scene(made) as there,
    ):
        async with load(there) as meter:
            await meter.measure("undisturbed", _PHASE_SECONDS)
            await asyncio.to_thread(kafka.stop_broker)
            stopped_at = time.monotonic()
            await meter.measure("broker stopped", _PHASE_SECONDS)
            waiting = await made.owner.fetchval(_WAITING)
            away_seconds = time.monotonic() - stopped_at
            await asyncio.to_thread(kafka.start_broker)
            meter.phase = "broker back"
        rest_seconds = await come_to_rest(made.owner, within_seconds=120)
        report = await verdict(there, made.owner)
    tell(
        [
            f"{kafka.name}, stopped for {away_seconds:.0f} s",
            *meter.told(),
            f"{waiting} messages waited for it, and all were heard {rest_seconds:.1f} s after",
            report,
        ]
    )
    assert report.is_clean, report
    assert not meter.failures
    assert waiting
    for way in WAYS:
        before = median(meter.seconds["undisturbed", way])
        without = median(meter.seconds["broker stopped", way])
        assert without < _SLOWER_TIMES * before + _SLOWER_SECONDS
