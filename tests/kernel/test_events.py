"""Events and the aggregates that record them."""

from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.kernel.events import Aggregate, DomainEvent, SequencedEvent

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LampLit(DomainEvent):
    watts: int


class Lamp(Aggregate):
    def light(self, watts: int) -> None:
        self.record(LampLit(occurred_at=NOON, watts=watts))


def test_an_aggregate_hands_over_its_events_once_and_in_order() -> None:
    lamp = Lamp()
    lamp.light(40)
    lamp.light(60)

    assert lamp.collect_events() == (
        SequencedEvent(1, LampLit(occurred_at=NOON, watts=40)),
        SequencedEvent(2, LampLit(occurred_at=NOON, watts=60)),
    )
    assert lamp.collect_events() == ()


def test_a_loaded_aggregate_counts_on_from_its_version() -> None:
    lamp = Lamp(version=7)
    lamp.light(40)

    assert lamp.version == 8
    assert [recorded.sequence for recorded in lamp.collect_events()] == [8]
    assert lamp.version == 8


def test_events_that_tell_the_same_are_equal_and_have_ids_of_their_own() -> None:
    first, second = (LampLit(occurred_at=NOON, watts=40) for _ in range(2))

    assert first == second
    assert first != LampLit(occurred_at=NOON, watts=60)
    assert first.event_id < second.event_id


def test_an_event_never_changes() -> None:
    event = LampLit(occurred_at=NOON, watts=40)
    with pytest.raises(FrozenInstanceError):
        event.watts = 60  # type: ignore[misc]  # the mistake being refused


@pytest.mark.parametrize(
    "moment", [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=1)))]
)
def test_an_event_without_a_utc_time_is_a_mistake(moment: datetime) -> None:
    with pytest.raises(ValueError, match="in UTC"):
        LampLit(occurred_at=moment, watts=40)
