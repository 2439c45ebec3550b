"""A desk between two awaits: what takes place beside it while it reads or saves."""

from collections.abc import Callable
from typing import Any

from services.kernel.clock import SystemClock
from services.kernel.ids import PaymentId
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import Hold, Overtaken, Saved, Written
from services.orchestrator.service.change import Change
from services.orchestrator.service.desk import Desk
from services.orchestrator.service.means import Means
from tests.orchestrator.news import NOW, asked


class Store:
    """Hands out a payment with nothing to do, and lets a test in between."""

    def __init__(self, *answers: Written) -> None:
        self.holds: list[Hold] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self._answers = list(answers)

    async def find(self, payment_id: PaymentId) -> Payment:
        request, _ = asked()
        payment = Payment.create(request, NOW)
        payment.collect_changes()
        self.meanwhile()
        return payment

    async def save(self, _payment: Payment, _changes: Any, hold: Hold, **_more: Any) -> Written:
        self.holds.append(hold)
        return self._answers.pop(0)


def _desk(store: Store) -> Desk:
    means = Means(
        store,  # type: ignore[arg-type]  # it is asked for nothing else
        None,  # type: ignore[arg-type]  # nothing is carried out
        lambda _payment, _call: b"",
        SystemClock(),
        lambda _decided: None,
    )
    return Desk(means, PaymentId.new(), epoch=1, closed=lambda _desk: None)


async def test_what_a_driver_says_counts_in_its_own_epoch_whatever_the_desk_came_to() -> None:
    """The payment was lost to another process, and taken back while it was read."""
    store = Store(Overtaken(), Saved(drives=False, epoch=3))
    desk = _desk(store)

    def taken_back() -> None:
        store.meanwhile = lambda: None
        desk.take_over(3)

    store.meanwhile = taken_back
    verdict = Change(lambda _: None, is_fact=True, is_forced=True, epoch=1)
    desk.put(verdict)
    await desk.work()
    assert await verdict.done == Overtaken()
    said, let_go = store.holds
    assert (said.epoch, said.is_required) == (1, True)
    assert let_go.epoch == 3


async def test_a_desk_does_not_go_home_with_the_lease_of_a_payment_that_has_work() -> None:
    """Somebody ordered something just before it let go, and leaves it to who drives."""
    store = Store(Saved(drives=True, epoch=1), Saved(drives=False, epoch=1))
    desk = _desk(store)
    await desk.work()
    assert len(store.holds) == 2
    assert desk.epoch == 0
