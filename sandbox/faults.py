"""Faults on demand: what goes wrong between a client and a processor, by rule and by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import ClassVar, Final

import msgspec

from sandbox.domain.work import Entity
from sandbox.seed import Seed
from sandbox.storage import Storage
from sandbox.wire import Answer, Broken, Reply


class Kind(StrEnum):
    """What can go wrong."""

    # Executed, but the connection closes before the answer leaves.
    REPLY_LOST = "reply_lost"
    # The answer never comes; the connection stays open for `delay_ms`.
    HANG = "hang"
    # Executed and answered, `delay_ms` late, before or after it; its key is in flight meanwhile.
    SLOW = "slow"
    # The connection is reset.
    RESET = "reset"
    # 429; nothing is executed, nothing is remembered.
    RATE_LIMIT = "rate_limit"
    # 500; its key replays it.
    SERVER_ERROR = "server_error"
    # Executed; the amount, or the currency, in the answer is another one.
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    # Executed; what comes back is no answer of Stripe's.
    GARBAGE = "garbage"


class When(StrEnum):
    """Whether a fault strikes before anything is executed, or after."""

    BEFORE = "before"
    AFTER = "after"


class Form(StrEnum):
    """What garbage looks like."""

    TEXT = "text"
    HTML = "html"
    TRUNCATED = "truncated"
    BYTES = "bytes"


_STRIKES_AFTER: Final = frozenset({Kind.REPLY_LOST, Kind.HANG, Kind.GARBAGE})
_DEFAULT_DELAY_MS: Final = {Kind.HANG: 3_600_000, Kind.SLOW: 1_000}

_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Entity):
    """One rule. It belongs to no account unless one is named in `only_account`."""

    kind: ClassVar[str] = "fault"
    prefix: ClassVar[str] = "fault"

    operation: str
    strikes: Kind
    probability: float = 1.0
    # How often it still strikes; None for without end.
    remaining: int | None = None
    skip: int = 0
    when: When | None = None
    delay_ms: int | None = None
    form: Form = Form.TEXT
    only_account: str | None = None
    matched: int = 0
    struck: int = 0
    removed: bool = False

    @property
    def strikes_before(self) -> bool:
        """Whether nothing is executed."""
        if self.when is not None:
            return self.when is When.BEFORE
        return self.strikes not in _STRIKES_AFTER

    @property
    def swallows(self) -> bool:
        """Whether the request itself never arrives."""
        return self.strikes_before and self.strikes in (Kind.HANG, Kind.RESET)

    @property
    def delay_seconds(self) -> float:
        """How long it makes its victim wait."""
        delay = _DEFAULT_DELAY_MS.get(self.strikes, 0) if self.delay_ms is None else self.delay_ms
        return delay / 1000

    def concerns(self, operation: str, account: str) -> bool:
        """Whether a request is one this rule looks at."""
        live = not self.removed and self.remaining != 0
        ours = self.only_account in (None, account)
        return live and ours and fnmatchcase(operation, self.operation)


class Faults:
    """The rules in force. Each counts the requests it saw, so the n-th draw is always the same."""

    def __init__(self, storage: Storage, seed: Seed) -> None:
        self._storage = storage
        self._seed = seed
        found = storage.rows(
            "select data from entities where kind = ? order by sequence", ("fault",)
        )
        decode = msgspec.json.Decoder(Fault).decode
        self._rules = {rule.id: rule for rule in (decode(data) for (data,) in found)}

    @property
    def rules(self) -> tuple[Fault, ...]:
        """The rules that have not been removed, oldest first."""
        return tuple(rule for rule in self._rules.values() if not rule.removed)

    def add(self, rule: Fault) -> Fault:
        """Put a rule in force."""
        self._keep(rule)
        return rule

    def remove(self, rule_id: str | None = None) -> None:
        """Take one rule, or every rule, out of force."""
        for rule in self.rules:
            if rule_id in (None, rule.id):
                self._keep(replace(rule, removed=True))

    def _keep(self, rule: Fault) -> None:
        self._rules[rule.id] = rule
        self._storage.add(entities=(rule,))

    def draw(self, operation: str, account: str, *, replayed: bool) -> Fault | None:
        """The fault that strikes this request, if any: the first rule that says so."""
        for rule in self.rules:
            # A stored answer is replayed as it is: a server error would have to execute first.
            if not rule.concerns(operation, account) or (
                replayed and rule.strikes is Kind.SERVER_ERROR
            ):
                continue
            if self._strikes(rule):
                return rule
        return None

    def _strikes(self, rule: Fault) -> bool:
        matched = rule.matched + 1
        # Drawn by the rule's number among all entities, so that its id need not be known.
        chance = self._seed.fraction(f"fault/{rule.sequence}", matched)
        strikes = matched > rule.skip and chance < rule.probability
        remaining = rule.remaining
        if strikes and remaining is not None:
            remaining -= 1
        struck = rule.struck + strikes
        self._keep(replace(rule, matched=matched, struck=struck, remaining=remaining))
        return strikes


def distort(fault: Fault, answer: Answer) -> Reply:
    """What arrives instead of an answer."""
    match fault.strikes:
        case Kind.REPLY_LOST | Kind.HANG:
            return Broken()
        case Kind.RESET:
            return Broken(reset=True)
        case Kind.WRONG_AMOUNT | Kind.WRONG_CURRENCY:
            return _with_other_money(fault, answer)
        case Kind.GARBAGE:
            return _garbage(fault.form, answer)
        case _:
            return answer


def _with_other_money(fault: Fault, answer: Answer) -> Answer:
    body = msgspec.json.decode(answer.body)
    if answer.status != 200 or "amount" not in body:
        return answer
    if fault.strikes is Kind.WRONG_AMOUNT:
        body["amount"] += 1
        for name in ("amount_received", "amount_capturable"):
            if body.get(name):
                body[name] += 1
    else:
        body["currency"] = "usd" if body["currency"] != "usd" else "eur"
    return replace(answer, body=msgspec.json.encode(body))


def _garbage(form: Form, answer: Answer) -> Reply:
    match form:
        case Form.HTML:
            return Answer(502, _HTML, {"Content-Type": "text/html"})
        case Form.TRUNCATED:
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case Form.BYTES:
            return Broken(raw=b"\x00\xff\x13 this is not HTTP \x07\r\n")
        case _:
            return Answer(200, b"all is well", {"Content-Type": "text/plain"})
