"""The desk of one payment: whatever is done to it in this process is done here, one after another.

A desk holds the payment as it was last saved. Orders, events and answers of processors come to it
as changes; each is applied, saved, and applied anew to what somebody else has saved meanwhile.
While the desk drives the payment it has every attempt that is open carried out, and what comes of
each is again a change. It closes when nothing is left to carry out.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from services.kernel.crash_points import CrashPoint
from services.kernel.errors import InFlight, NotFound, Reason, SwitchyardError, Unavailable
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId
from services.orchestrator.domain.command import Answer, Command, Decided, judge
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import Claim, Hold, Overtaken, Saved, Written
from services.orchestrator.service.change import Change
from services.orchestrator.service.errands import Errands
from services.orchestrator.service.means import Means

_PAUSE_SECONDS: Final = 1.0
# Before it, nobody has ever carried anything out for the payment.
_FIRST_EPOCH: Final = 1

_log = structlog.get_logger()


class Desk:
    """One payment in this process."""

    def __init__(
        self,
        means: Means,
        payment_id: PaymentId,
        *,
        payment: Payment | None = None,
        epoch: int = 0,
        closed: Callable[["Desk"], None],
    ) -> None:
        self.payment_id = payment_id
        self.epoch = epoch
        """In which epoch this desk drives the payment; zero when it does not."""
        self._means = means
        self._payment = payment
        self._closed = closed
        self._changes: deque[Change] = deque()
        self._is_first_driver = epoch == _FIRST_EPOCH
        self._woken = asyncio.Event()
        self._errands = Errands(means, self.put, self._woken.set)

    def put(self, change: Change) -> None:
        """Have something done to the payment, in its turn."""
        self._changes.append(change)
        self._woken.set()

    def take_over(self, epoch: int) -> None:
        """Drive the payment from here on, as it stands in the database."""
        self.epoch = epoch
        self._is_first_driver = epoch == _FIRST_EPOCH
        # Who drove it meanwhile may have sent what was opened here.
        self._errands.distrust()
        self._payment = None
        self._woken.set()

    def overtaken(self) -> None:
        """Somebody else drives the payment now, and sends what was opened here."""
        self.epoch = 0
        self._errands.distrust()

    async def work(self) -> None:
        """Do what has come, and all that follows from it."""
        try:
            while True:
                self._woken.clear()
                while self._changes:
                    await self._do(self._changes.popleft())
                if self.epoch:
                    await self._carry_on()
                # Whoever woke it meanwhile, say by taking the payment up for it, has work for it.
                if self._woken.is_set():
                    continue
                if self._errands.is_idle:
                    return
                await self._woken.wait()
        finally:
            self._closed(self)
            self._abandon()

    def _abandon(self) -> None:
        self._errands.abandon()
        while self._changes:
            problem = "shutting down; what was begun is taken up again"
            self._changes.popleft().refuse(Unavailable(problem, reason=Reason.SHUTTING_DOWN))

    async def _do(self, change: Change) -> None:
        """Apply a change and save it, as often as others get in between."""
        while change.epoch in (None, self.epoch):
            try:
                written = await self._tried(change)
            except SwitchyardError as error:
                # What it was applied to is not what stands in the database.
                self._payment = None
                if isinstance(error, InFlight) and error.reason is Reason.STALE_VERSION:
                    # Whoever changed it may drive it, which only saving tells.
                    change.is_forced = self.epoch > 0
                    continue
                if not (change.is_fact and isinstance(error, Unavailable)):
                    change.refuse(error)
                    return
                _log.warning("what has happened cannot be saved yet", problem=str(error))
            except BaseException as error:
                self._payment = None
                change.refuse(error)
                raise
            else:
                if isinstance(written, SwitchyardError):
                    change.refuse(written)
                else:
                    change.finish(written)
                return
            await self._means.pause(_PAUSE_SECONDS)
        change.finish(Overtaken())

    async def _tried(self, change: Change) -> Written | SwitchyardError:
        """What came of a change, or why the payment, as it stands, is not to be changed so."""
        payment = self._payment
        if payment is not None and payment.is_new:
            return await self._saved(payment, change, None)
        if change.command is not None:
            standing = await self._standing(change.command)
            if standing is not None:
                return standing
        is_kept = self._payment is not None
        payment = await self._current(change.merchant_id)
        try:
            refund_id = change.apply(payment)
        except SwitchyardError as refusal:
            # Others may have saved more than is kept here: nobody is refused by what is old.
            if payment.has_changes or not await self._is_newest(payment):
                self._payment = None
            if is_kept and self._payment is None:
                return await self._tried(change)
            # The same call may have come by another way just now: its answer counts.
            standing = None if change.command is None else await self._standing(change.command)
            return refusal if standing is None else standing
        if not payment.has_changes and change.command is None and not change.is_forced:
            return Saved(bool(self.epoch), self.epoch)
        return await self._saved(payment, change, refund_id)

    async def _is_newest(self, payment: Payment) -> bool:
        return await self._means.store.find_version(payment.id) == payment.version

    async def _standing(self, command: Command) -> Answer | None:
        """What was answered under the key of a command; what forbids an answer is raised."""
        record = await self._means.store.find_key(command.merchant_id, command.idempotency_key)
        if record is None:
            return None
        standing = judge(command, record)
        if isinstance(standing, SwitchyardError):
            raise standing
        return standing

    async def _current(self, merchant_id: MerchantId | None = None) -> Payment:
        if self._payment is None:
            self._payment = await self._means.store.find(self.payment_id)
        payment = self._payment
        if payment is None or merchant_id not in (None, payment.merchant_id):
            raise NotFound(f"there is no payment {self.payment_id}")
        return payment

    async def _saved(self, payment: Payment, change: Change, refund_id: RefundId | None) -> Written:
        """Commit what was done, with the answers that this decides."""
        is_birth = payment.is_new
        changes = payment.collect_changes()
        own, claim = None, None
        if change.command is not None:
            own = change.command.call(refund_id)
            claim = Claim(change.command, refund_id, change.draws)
            payment.unanswered.append(own)
        known = payment.decided
        decided = [
            Decided(call, Answer(self._means.describe(payment, call), call.request_id))
            for call in payment.unanswered
            if call in known or (change.answers_at_once and call is own)
        ]
        hold = self._hold(payment, change)
        with self._means.trace("commit", payment.request.traceparent, _about(payment)):
            written = await self._means.store.save(
                payment, changes, hold, claim=claim, decided=decided
            )
        if not isinstance(written, Saved):
            self._payment = None
            if isinstance(written, Overtaken) and self.epoch == hold.epoch:
                self.overtaken()
            return written
        self._payment = payment
        self._note_lease(hold, written, changes.opened)
        point = CrashPoint.INTENT_COMMITTED if is_birth else CrashPoint.RESULT_SAVED
        self._means.reach(point, changes.ended_operation)
        told = [each.call for each in decided]
        payment.unanswered = [call for call in payment.unanswered if call not in told]
        for each in decided:
            self._means.tell(each)
        self._means.report(payment, changes)
        return written

    def _note_lease(self, before: Hold, written: Saved, opened: Iterable[AttemptId]) -> None:
        """Drive on or stop, as was saved; what took place beside the saving counts for more."""
        if self.epoch != before.epoch:
            self._payment = None
            self._errands.distrust()
            return
        self.epoch = written.epoch if written.drives else 0
        if self.epoch:
            self._errands.trust(opened)
        else:
            self._errands.distrust()

    def _hold(self, payment: Payment, change: Change) -> Hold:
        """Whether this desk has to drive the payment after a change."""
        due = payment.to_send or payment.to_look_up(self._means.clock.now())
        has_work = bool(due or self._errands.is_running)
        drives = (change.drives or self.epoch > 0) and has_work
        # What a driver says counts in its own epoch, though the desk may drive in another by now.
        epoch = self.epoch if change.epoch is None else change.epoch
        return Hold(drives, epoch, is_required=change.epoch is not None)

    async def _carry_on(self) -> None:
        """Begin whatever is to be carried out and is not yet; what drives nothing is let go."""
        is_first, self._is_first_driver = self._is_first_driver, False
        try:
            payment = await self._current()
        except Unavailable as error:
            _log.warning("a payment cannot be read yet", problem=str(error))
            await self._means.pause(_PAUSE_SECONDS)
            self._woken.set()
            return
        if is_first:
            self._errands.trust(each.id for each in payment.to_send)
        self._errands.begin(payment, self.epoch)
        if self._errands.is_idle and not self._changes:
            release = Change(lambda _: None, is_fact=True, is_forced=True)
            await self._do(release)
            if self.epoch and release.done.exception() is None:
                # Somebody has ordered something just before, and counts on who held the lease.
                self._woken.set()


def _about(payment: Payment) -> Mapping[str, str]:
    """What is said of a payment wherever something is recorded of it."""
    return {
        "payment_id": payment.id,
        "merchant_id": payment.merchant_id,
        "request_id": payment.request.request_id,
        "state": payment.state,
    }
