"""/_sandbox/…: how a test reads the outside truth and makes the outside world misbehave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from sandbox.access import account_of
from sandbox.clock import Clock
from sandbox.commit import EVERY_ACCOUNT, Committer
from sandbox.domain import disputes, refunds
from sandbox.domain.charges import Charge
from sandbox.domain.disputes import Dispute
from sandbox.domain.payment_intents import PaymentIntent
from sandbox.domain.refunds import Refund
from sandbox.domain.work import Entity, Event, Work
from sandbox.errors import StripeError
from sandbox.faults import Fault, Faults
from sandbox.orders import ClockOrder, DisputeOrder, FaultOrder, ResetOrder
from sandbox.record import DEFAULT_LISTS, LISTS, read_record
from sandbox.shapes import View, shape
from sandbox.timekeeper import Timekeeper
from sandbox.webhooks import Mischief, Webhooks
from sandbox.wire import Answer, Request

PREFIX: Final = "/_sandbox/"

T = TypeVar("T")
E = TypeVar("E", bound=Entity)
Handler = Callable[[Request, str], Awaitable[Any]]


class Run(Protocol):
    """The parts of a running sandbox that can be looked at and meddled with."""

    committer: Committer
    faults: Faults
    webhooks: Webhooks
    timekeeper: Timekeeper

    async def reset(self, seed: int | None) -> None:
        """Begin a new run."""

    def save_clock(self) -> None:
        """Keep the clock's setting for the next start."""

    def view(self) -> View:
        """How things are shown right now."""


class BadControl(Exception):
    """A control call that makes no sense; its message says why."""


class Control:
    """Answers control calls."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "record"): self._record,
            ("POST", "reset"): self._reset,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._set_clock,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "webhooks"): self._webhooks,
            ("POST", "webhooks"): self._set_mischief,
            ("POST", "events/resend"): self._resend,
            ("POST", "disputes"): self._open_dispute,
            ("POST", "disputes/win"): self._win,
            ("POST", "disputes/lose"): self._lose,
            ("POST", "refunds/fail"): self._fail,
        }

    async def __call__(self, request: Request) -> Answer:
        """Answer one control call, in JSON, when its effect is durable."""
        steps = request.path.removeprefix(PREFIX).rstrip("/").split("/")
        object_id = steps.pop(1) if len(steps) > 1 else ""
        handler = self._handlers.get((request.method, "/".join(steps)))
        if handler is None:
            return _json(404, _error(f"no control call {request.method} {request.path}"))
        try:
            body = await handler(request, object_id)
        except (BadControl, msgspec.DecodeError, StripeError) as refusal:
            return _json(400, _error(str(refusal)))
        await self._run.committer.storage.durable()
        return _json(200, body)

    async def _record(self, request: Request, _: str) -> Any:
        query = dict(parse_qsl(request.query))
        lists = tuple(filter(None, query.get("lists", "").split(","))) or DEFAULT_LISTS
        if unknown := set(lists) - set(LISTS):
            raise BadControl(f"no list {min(unknown)!r}; there are {', '.join(LISTS)}")
        storage = self._run.committer.storage
        await storage.durable()
        record = read_record(
            storage,
            lists=lists,
            account=_account(query.get("account")),
            after=_number(query.get("after")) or 0,
            limit=_number(query.get("limit")),
        )
        seed, clock = self._run.committer.seed, self._run.committer.clock
        return {"seed": seed.value, "now": clock.now(), **record}

    async def _reset(self, request: Request, _: str) -> Any:
        await self._run.reset(_read(ResetOrder, request).seed)
        return {"seed": self._run.committer.seed.value}

    async def _clock(self, request: Request, _: str) -> Any:  # noqa: ARG002 (every handler's signature)
        return _clock_shape(self._run.committer.clock)

    async def _set_clock(self, request: Request, _: str) -> Any:
        order, clock = _read(ClockOrder, request), self._run.committer.clock
        if order.now is not None:
            clock.set_to(order.now)
        if order.advance_seconds is not None:
            clock.advance(order.advance_seconds)
        if order.frozen is not None:
            (clock.freeze if order.frozen else clock.thaw)()
        self._run.save_clock()
        await self._run.timekeeper.look()
        return _clock_shape(clock)

    async def _faults(self, request: Request, _: str) -> Any:  # noqa: ARG002 (every handler's signature)
        return {"faults": [_fault_shape(rule) for rule in self._run.faults.rules]}

    async def _add_fault(self, request: Request, _: str) -> Any:
        order = _read(FaultOrder, request)
        if not 0 <= order.probability <= 1 or order.skip < 0 or (order.count or 0) < 0:
            raise BadControl("probability is 0 to 1; skip and count are not negative")
        identity = self._run.committer.open_work(EVERY_ACCOUNT).identity(Fault)
        rule = Fault(
            **identity,
            operation=order.operation,
            strikes=order.kind,
            probability=order.probability,
            remaining=order.count,
            skip=order.skip,
            when=order.when,
            delay_ms=order.delay_ms,
            form=order.form,
            only_account=_account(order.account),
        )
        return _fault_shape(self._run.faults.add(rule))

    async def _remove_faults(self, request: Request, rule_id: str) -> Any:  # noqa: ARG002 (every handler's signature)
        self._run.faults.remove(rule_id or None)
        return {"faults": [_fault_shape(rule) for rule in self._run.faults.rules]}

    async def _webhooks(self, request: Request, _: str) -> Any:  # noqa: ARG002 (every handler's signature)
        endpoints = [
            {"id": found.id, "account": found.account, "url": found.url, "secret": found.secret}
            for found in self._run.committer.endpoints
        ]
        return {"mischief": self._run.webhooks.mischief, "endpoints": endpoints}

    async def _set_mischief(self, request: Request, _: str) -> Any:
        mischief = _read(Mischief, request)
        chances = (mischief.duplicate, mischief.drop)
        delays = (mischief.delay_min_ms, mischief.delay_max_ms)
        if not all(0 <= chance <= 1 for chance in chances) or not 0 <= delays[0] <= delays[1]:
            raise BadControl("probabilities are 0 to 1; delay_min_ms is at most delay_max_ms")
        self._run.webhooks.mischief = mischief
        return {"mischief": mischief}

    async def _resend(self, request: Request, event_id: str) -> Any:  # noqa: ARG002 (every handler's signature)
        committer = self._run.committer
        event = committer.storage.find(Event, event_id)
        if event is None:
            raise BadControl(f"no event {event_id!r}")
        deliveries = committer.deliveries(event)
        committer.storage.add(deliveries=deliveries)
        self._run.webhooks.announce(deliveries)
        return {"deliveries": len(deliveries)}

    async def _open_dispute(self, request: Request, _: str) -> Any:
        order = _read(DisputeOrder, request)
        charge = self._charge(order)
        work = self._run.committer.open_work(charge.account)
        dispute = disputes.open_dispute(
            work,
            charge,
            amount=charge.amount_captured if order.amount is None else order.amount,
            reason=order.reason,
            inquiry=order.inquiry,
        )
        self._run.committer.commit(work)
        return shape(dispute, self._run.view())

    def _charge(self, order: DisputeOrder) -> Charge:
        find = self._run.committer.storage.find
        charge_id = order.charge or ""
        if order.payment_intent is not None:
            intent = find(PaymentIntent, order.payment_intent)
            charge_id = (intent.latest_charge if intent else None) or ""
        charge = find(Charge, charge_id)
        if charge is None or not charge.captured:
            raise BadControl("name a captured charge, or a payment_intent that has one")
        return charge

    async def _win(self, request: Request, dispute_id: str) -> Any:  # noqa: ARG002 (every handler's signature)
        return self._decide(Dispute, dispute_id, disputes.win)

    async def _lose(self, request: Request, dispute_id: str) -> Any:  # noqa: ARG002 (every handler's signature)
        return self._decide(Dispute, dispute_id, disputes.lose)

    async def _fail(self, request: Request, refund_id: str) -> Any:  # noqa: ARG002 (every handler's signature)
        return self._decide(Refund, refund_id, refunds.fail)

    def _decide(self, kind: type[E], object_id: str, verdict: Callable[[Work, E], E]) -> Any:
        found = self._run.committer.storage.find(kind, object_id)
        if found is None:
            raise BadControl(f"no {kind.kind} {object_id!r}")
        work = self._run.committer.open_work(found.account)
        decided = verdict(work, found)
        self._run.committer.commit(work)
        return shape(decided, self._run.view())


def _read(order: type[T], request: Request) -> T:
    return msgspec.json.decode(request.body or b"{}", type=order)


def _account(name: str | None) -> str | None:
    """An account may be named by its id or by its key."""
    return account_of(name) if name and name.startswith(("sk_", "rk_")) else name


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit():
        raise BadControl(f"not a number: {text[:20]!r}")
    return int(text)


def _clock_shape(clock: Clock) -> dict[str, Any]:
    return {"now": clock.now(), "frozen": clock.setting.frozen_at is not None}


def _fault_shape(rule: Fault) -> dict[str, Any]:
    return {
        "id": rule.id,
        "kind": rule.strikes,
        "operation": rule.operation,
        "probability": rule.probability,
        "remaining": rule.remaining,
        "skip": rule.skip,
        "account": rule.only_account,
        "matched": rule.matched,
        "struck": rule.struck,
    }


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def _json(status: int, body: Any) -> Answer:
    return Answer(status, msgspec.json.encode(body), {"Content-Type": "application/json"})
