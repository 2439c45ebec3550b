"""The processor's own record, as far as money is concerned: holds, and what went back of them.

What went back is what we returned, and what a bank has taken because its customer disputes it.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

import httpx

_ATTEMPT_KEY: Final = "switchyard_attempt_id"
_LISTS: Final = "payment_intents,refunds,disputes"
_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Hold:
    """An amount that a processor was asked to hold, and what has become of it there."""

    id: str
    attempt_id: str | None
    """Our attempt, as it was left with the processor."""
    currency: str
    amount_minor: int
    state: str
    received_minor: int

    @property
    def is_held(self) -> bool:
        return self.state == "requires_capture"

    @property
    def is_taken(self) -> bool:
        return self.state == "succeeded"


@dataclass(frozen=True, slots=True)
class Return:
    """An amount that went back, or is to."""

    id: str
    attempt_id: str | None
    hold: str
    amount_minor: int
    state: str


@dataclass(frozen=True, slots=True)
class Objection:
    """What a customer disputes, as the bank has it."""

    id: str
    attempt_id: str | None
    """Our attempt that made the hold."""
    amount_minor: int
    fee_minor: int
    state: str
    funds_withdrawn: bool
    funds_reinstated: bool
    moved_at: datetime
    """When the bank opened it or last moved money for it."""

    @property
    def is_inquiry(self) -> bool:
        """Whether the bank only asks, and no money moves."""
        return self.state.startswith("warning_")


@dataclass(frozen=True, slots=True)
class Record:
    """What one or several processors did for us; `processors` are the ones that it covers."""

    processors: frozenset[str]
    holds: Sequence[Hold]
    returns: Sequence[Return]
    objections: Sequence[Objection] = ()

    @property
    def attempt_ids(self) -> frozenset[str]:
        """Every attempt of ours that something was done for."""
        told = [each.attempt_id for each in self.holds] + [each.attempt_id for each in self.returns]
        return frozenset(attempt_id for attempt_id in told if attempt_id is not None)

    def without(self, attempt_ids: Container[str]) -> Self:
        """The same but for what was done for these attempts."""
        return replace(
            self,
            holds=[each for each in self.holds if each.attempt_id not in attempt_ids],
            returns=[each for each in self.returns if each.attempt_id not in attempt_ids],
            objections=[each for each in self.objections if each.attempt_id not in attempt_ids],
        )


async def read_sandbox(base_url: str, keys: Mapping[str, str]) -> Record:
    """The sandbox's record of the accounts behind these processors, by processor id."""
    accounts = [{"account": key} for key in sorted(set(keys.values()))]
    return await _read(base_url, frozenset(keys), accounts)


async def read_whole_sandbox(base_url: str, processors: Iterable[str]) -> Record:
    """All that a sandbox has done, when it serves these processors and nobody else."""
    return await _read(base_url, frozenset(processors), [{}])


async def _read(
    base_url: str, processors: frozenset[str], accounts: Iterable[Mapping[str, str]]
) -> Record:
    holds: list[Hold] = []
    returns: list[Return] = []
    objections: list[Objection] = []
    async with httpx.AsyncClient(base_url=base_url, timeout=_TIMEOUT_SECONDS) as client:
        for account in accounts:
            answer = await client.get("/_sandbox/record", params={"lists": _LISTS, **account})
            answer.raise_for_status()
            told = answer.json()
            holds += _holds(told["payment_intents"])
            returns += _returns(told["refunds"])
            attempt_ids = {each.id: each.attempt_id for each in holds}
            objections += _objections(told["disputes"], attempt_ids)
    return Record(processors, holds, returns, objections)


def _holds(intents: Iterable[Mapping[str, Any]]) -> Iterable[Hold]:
    for each in intents:
        yield Hold(
            id=each["id"],
            attempt_id=each.get("metadata", {}).get(_ATTEMPT_KEY),
            currency=each["currency"].upper(),
            amount_minor=each["amount"],
            state=each["state"],
            received_minor=each.get("amount_received", 0),
        )


def _returns(refunds: Iterable[Mapping[str, Any]]) -> Iterable[Return]:
    for each in refunds:
        yield Return(
            id=each["id"],
            attempt_id=each.get("metadata", {}).get(_ATTEMPT_KEY),
            hold=each["payment_intent"],
            amount_minor=each["amount"],
            state=each["state"],
        )


def _objections(
    disputes: Iterable[Mapping[str, Any]], attempt_ids: Mapping[str, str | None]
) -> Iterable[Objection]:
    for each in disputes:
        moves = each.get("balance_transactions", ())
        yield Objection(
            id=each["id"],
            attempt_id=attempt_ids.get(each["payment_intent"]),
            amount_minor=each["amount"],
            fee_minor=sum(move["fee"] for move in moves),
            state=each["state"],
            funds_withdrawn=any(move["amount"] < 0 for move in moves),
            funds_reinstated=any(move["amount"] > 0 for move in moves),
            moved_at=datetime.fromtimestamp(
                max(move["created"] for move in (each, *moves)), tz=UTC
            ),
        )
