"""The desk of one payment: whatever is done to it in this process is done here, one after another.

A desk holds the payment as it was last saved. Orders, events and answers of processors come to it
as changes; each is applied, saved, and applied anew to what somebody else has saved meanwhile.
While the desk drives the payment it carries out every attempt that is open, beside one another,
and what comes of each is again a change. It closes when nothing is left to carry out.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import structlog

from services.kernel.clock import Clock
from services.kernel.crash_points import CrashPoint, Reach, live_on
from services.kernel.errors import InFlight, NotFound, Reason, SwitchyardError, Unavailable
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId
from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import Attempt, Execution, Order
from services.orchestrator.domain.command import Answer, Call, Command, Decided, KeyRecord, judge
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.quota import Draws
from services.orchestrator.domain.record import Changes
from services.orchestrator.domain.saving import Claim, Hold, Lease, Overtaken, Saved, Written
from services.orchestrator.domain.state import AttemptState

_PAUSE_SECONDS: Final = 1.0
_REST_SECONDS: Final = 10.0
# Before it, nobody has ever carried anything out for the payment.
_FIRST_EPOCH: Final = 1

_log = structlog.get_logger()

Describe = Callable[[Payment, Call], bytes]
"""A payment as one who called is told of it."""

Apply = Callable[[Payment], RefundId | None]
"""Does something to a payment, or raises why not; a refund that was asked for is named."""


class Store(Protocol):
    """Where payments are kept."""

    async def save(
        self,
        payment: Payment,
        changes: Changes,
        hold: Hold,
        *,
        claim: Claim | None = None,
        decided: Sequence[Decided] = (),
    ) -> Written: ...

    async def find(self, payment_id: PaymentId) -> Payment | None: ...

    async def find_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None: ...

    async def take(self, payment_id: PaymentId) -> Lease | None: ...


class Router(Protocol):
    """RouterService; whatever it meets, there is an execution, UNKNOWN if need be."""

    async def execute(self, order: Order) -> Execution: ...

    async def look_up(self, order: Order) -> Execution: ...


Trace = Callable[[str, str | None, Mapping[str, str]], AbstractContextManager[object]]
"""Records a piece of work in the trace of the payment that it is done for."""


def untraced(
    _name: str, _traceparent: str | None, _words: Mapping[str, str]
) -> AbstractContextManager[object]:
    """Nobody records it."""
    return nullcontext()


async def send_all(_order: Order) -> None:
    """Nothing is kept from being sent."""


@dataclass(frozen=True)
class Means:
    """What every desk works with."""

    store: Store
    router: Router
    describe: Describe
    clock: Clock
    tell: Callable[[Decided], None]
    """Tells a caller who waits in this process."""
    reach: Reach = live_on
    forbid: Callable[[Order], Awaitable[Execution | None]] = send_all
    """What comes of an attempt that must not be sent after all; None where it may."""
    trace: Trace = untraced
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True, eq=False)
class Change:
    """Something that is to be done to a payment, and whoever waits for it to be committed."""

    apply: Apply
    command: Command | None = None
    draws: Draws = ()
    """What the command draws of quotas, when it is the first under its key."""
    merchant_id: MerchantId | None = None
    """Whose the payment must be; None for what needs no merchant's leave."""
    drives: bool = True
    """Whether what follows is carried out here, and not left to any worker."""
    is_fact: bool = False
    """Whether it has happened outside: then it is saved however long that takes."""
    is_forced: bool = False
    """Whether it is saved though nothing was changed, so that the payment is driven no more."""
    epoch: int | None = None
    """In which epoch its driver found it out; by another it is not for that driver to say."""
    answers_at_once: bool = False
    """Whether its caller is told how the payment stands, and not what becomes of it."""
    done: "asyncio.Future[Written]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self, written: Written) -> None:
        if not self.done.done():
            self.done.set_result(written)

    def refuse(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            # Whoever asked may have gone away, and an error nobody hears is no news.
            self.done.exception()


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
        self._running: dict[AttemptId, asyncio.Task[None]] = {}
        # Attempts of which it is certain that nobody was asked yet, and those that were asked here.
        self._unsent: set[AttemptId] = set()
        self._sent: set[AttemptId] = set()
        self._is_first_driver = epoch == _FIRST_EPOCH
        # Attempts whose outcome could not be recorded just now.
        self._resting: set[AttemptId] = set()
        self._woken = asyncio.Event()

    def put(self, change: Change) -> None:
        """Have something done to the payment, in its turn."""
        self._changes.append(change)
        self._woken.set()

    def take_over(self, epoch: int) -> None:
        """Drive the payment from here on, as it stands in the database."""
        self.epoch = epoch
        self._is_first_driver = epoch == _FIRST_EPOCH
        # Who drove it meanwhile may have sent what was opened here.
        self._unsent.clear()
        self._payment = None
        self._woken.set()

    def overtaken(self) -> None:
        """Somebody else drives the payment now, and sends what was opened here."""
        self.epoch = 0
        self._unsent.clear()

    async def work(self) -> None:
        """Do what has come, and all that follows from it."""
        try:
            while True:
                self._woken.clear()
                while self._changes:
                    await self._do(self._changes.popleft())
                if self.epoch:
                    await self._carry_on()
                if self._changes:
                    continue
                if self._is_idle:
                    return
                await self._woken.wait()
        finally:
            self._closed(self)
            self._abandon()

    def _abandon(self) -> None:
        for task in self._running.values():
            task.cancel()
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
                change.finish(written)
                return
            await self._means.pause(_PAUSE_SECONDS)
        change.finish(Overtaken())

    async def _tried(self, change: Change) -> Written:
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
        except SwitchyardError:
            if is_kept:
                # Others may have saved more than is kept here: nobody is refused by what is old.
                self._payment = None
                return await self._tried(change)
            # The same call may have come by another way just now: its answer counts.
            standing = None if change.command is None else await self._standing(change.command)
            if standing is None:
                raise
            self._payment = None
            return standing
        if not payment.has_changes and change.command is None and not change.is_forced:
            return Saved(bool(self.epoch), self.epoch)
        return await self._saved(payment, change, refund_id)

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
        decided = [
            Decided(call, Answer(self._means.describe(payment, call), call.request_id))
            for call in payment.unanswered
            if payment.has_decided(call) or (change.answers_at_once and call is own)
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
        self.epoch = written.epoch if written.drives else 0
        self._payment = payment
        self._unsent = self._unsent | changes.opened if written.drives else set()
        point = CrashPoint.INTENT_COMMITTED if is_birth else CrashPoint.RESULT_SAVED
        self._means.reach(point, changes.ended_operation)
        told = [each.call for each in decided]
        payment.unanswered = [call for call in payment.unanswered if call not in told]
        for each in decided:
            self._means.tell(each)
        return written

    @property
    def _is_idle(self) -> bool:
        return not self._running and not self._resting

    def _hold(self, payment: Payment, change: Change) -> Hold:
        """Whether this desk has to drive the payment after a change."""
        has_work = bool(payment.to_send or self._running or payment.to_look_up(self._now()))
        drives = (change.drives or self.epoch > 0) and has_work
        return Hold(drives, self.epoch, is_required=change.epoch is not None)

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
            self._unsent.update(each.id for each in payment.to_send)
        now = self._now()
        for attempt in (*payment.to_send, *payment.to_look_up(now)):
            if attempt.id not in self._running and attempt.id not in self._resting:
                self._running[attempt.id] = asyncio.create_task(
                    self._trace_out(attempt, payment.order_for(attempt, now)),
                    name=f"attempt {attempt.id}",
                )
        if self._is_idle and not self._changes:
            await self._do(Change(lambda _: None, is_fact=True, is_forced=True))

    async def _trace_out(self, attempt: Attempt, order: Order) -> None:
        words = {
            "payment_id": order.payment_id,
            "merchant_id": order.merchant_id,
            "attempt_id": attempt.id,
            "processor_id": attempt.processor_id,
        }
        with self._means.trace(f"attempt {attempt.operation}", order.traceparent, words):
            await self._carry_out(attempt, order)

    async def _carry_out(self, attempt: Attempt, order: Order) -> None:
        """Ask the processor, and have what it says recorded."""
        source = "lookup" if attempt.state is not AttemptState.OPEN else "answer"
        epoch = self.epoch
        try:
            execution = await self._asked(attempt, order)
        except Exception:  # noqa: BLE001 -- a defect must neither end the desk nor spin
            _log.exception("carrying an attempt out failed", attempt_id=attempt.id)
            await self._means.pause(_PAUSE_SECONDS)
        else:
            _log_attempt(attempt, execution)
            change = Change(
                lambda payment: _settle(payment, attempt.id, execution, self._now(), source),
                is_fact=True,
                # Who was overtaken may have failed where another, under the same key, does not.
                epoch=None if execution.outcome is Outcome.SUCCEEDED else epoch,
            )
            change.done.add_done_callback(partial(self._rest_if_failed, attempt.id))
            self.put(change)
        finally:
            self._running.pop(attempt.id, None)
            self._woken.set()

    def _rest_if_failed(self, attempt_id: AttemptId, done: "asyncio.Future[Written]") -> None:
        """What the database will not have is asked for again, but not at once."""
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            if isinstance(done.result(), Overtaken):
                _log.warning("who was overtaken is not heard", attempt_id=attempt_id)
            return
        _log.error("what came of an attempt was refused", attempt_id=attempt_id, exc_info=error)
        self._resting.add(attempt_id)
        asyncio.get_running_loop().call_later(_REST_SECONDS, self._rested, attempt_id)

    def _rested(self, attempt_id: AttemptId) -> None:
        self._resting.discard(attempt_id)
        self._woken.set()

    async def _asked(self, attempt: Attempt, order: Order) -> Execution:
        if attempt.state is AttemptState.IN_DOUBT and self._now() < attempt.key_expires_at:
            # What never arrived is never found: only its own key brings it to an end.
            return await self._asked_again(order)
        if attempt.state is not AttemptState.OPEN:
            return await self._means.router.look_up(order)
        if attempt.id in self._sent or attempt.id not in self._unsent:
            return await self._asked_again(order)
        self._sent.add(attempt.id)
        self._means.reach(CrashPoint.ATTEMPT_COMMITTED, attempt.operation)
        forbidden = await self._means.forbid(order)
        if forbidden is not None:
            return forbidden
        execution = await self._means.router.execute(order)
        self._means.reach(CrashPoint.PROCESSOR_ANSWERED, attempt.operation)
        return execution

    async def _asked_again(self, order: Order) -> Execution:
        """Ask about an attempt that somebody may have sent already, and only then send it."""
        found = await self._means.router.look_up(order)
        if found.outcome is not Outcome.UNKNOWN:
            return found
        return await self._means.router.execute(replace(order, sent_before=True))

    def _now(self) -> datetime:
        return self._means.clock.now()


def _about(payment: Payment) -> Mapping[str, str]:
    """What is said of a payment wherever something is recorded of it."""
    return {
        "payment_id": payment.id,
        "merchant_id": payment.merchant_id,
        "request_id": payment.request.request_id,
        "state": payment.state,
    }


def _settle(
    payment: Payment, attempt_id: AttemptId, execution: Execution, now: datetime, source: str
) -> None:
    payment.settle(attempt_id, execution, now, source)


def _log_attempt(attempt: Attempt, execution: Execution) -> None:
    _log.info(
        "attempt executed",
        attempt_id=attempt.id,
        operation=str(attempt.operation),
        processor_id=attempt.processor_id,
        outcome=str(execution.outcome),
        error_code=execution.error_code and str(execution.error_code),
        failover_to=execution.failover_to,
        latency_ms=execution.latency_ms,
    )
