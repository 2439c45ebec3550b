"""What the platform holds of payments, read as of one moment and found by what belongs together."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, TypeAlias
from uuid import UUID

from services.kernel.ids import AttemptId, PaymentId
from services.runtime.database import Connection, Record
from services.runtime.queries import load_queries

QUERIES: Final = load_queries(__package__)

Row: TypeAlias = Record

_SETTLED: Final = frozenset({"succeeded", "failed"})
_OF_PAYMENTS: Final = (
    "payments",
    "steps",
    "attempts",
    "parts",
    "postings",
    "transactions",
    "transitions",
    "unanswered",
    "told",
    "disputes",
)
_OF_ALL: Final = (
    "sums",
    "unbalanced",
    "allowed_moves",
    "waiting_messages",
    "unhandled",
    "not_taken_in",
)


@dataclass(frozen=True)
class Books:
    """Every row that a question is asked of."""

    now: datetime
    rows: Mapping[str, Sequence[Row]]

    @cached_property
    def payments(self) -> Mapping[UUID, Row]:
        return {row["id"]: row for row in self.rows["payments"]}

    @cached_property
    def steps(self) -> Mapping[UUID, Row]:
        return {row["id"]: row for row in self.rows["steps"]}

    @cached_property
    def steps_of(self) -> Mapping[UUID, Sequence[Row]]:
        return grouped(self.rows["steps"], "payment_id")

    @cached_property
    def attempts(self) -> Mapping[UUID, Row]:
        return {row["id"]: row for row in self.rows["attempts"]}

    @cached_property
    def attempts_of(self) -> Mapping[UUID, Sequence[Row]]:
        return grouped(self.rows["attempts"], "payment_id")

    @cached_property
    def attempts_on(self) -> Mapping[str, Sequence[Row]]:
        """What was asked for a hold once it was there: captures, voids and refunds, by the hold."""
        asked = [row for row in self.rows["attempts"] if row["hold"] is not None]
        return grouped(asked, "hold")

    @cached_property
    def steps_holding(self) -> Mapping[str, Sequence[Row]]:
        """The steps that know of a hold, by the hold."""
        holding = [row for row in self.rows["steps"] if row["processor_reference"] is not None]
        return grouped(holding, "processor_reference")

    @cached_property
    def disputes_of(self) -> Mapping[UUID, Sequence[Row]]:
        return grouped(self.rows["disputes"], "payment_id")

    @cached_property
    def postings(self) -> Mapping[str, Row]:
        """By the key under which the ledger books them."""
        return {row["idempotency_key"]: row for row in self.rows["postings"]}

    @cached_property
    def postings_of(self) -> Mapping[UUID, Sequence[Row]]:
        return grouped(self.rows["postings"], "payment_id")

    @cached_property
    def moved(self) -> Mapping[str, Counter[str]]:
        """What the ledger moved for each payment on the accounts of each role."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for row in self.rows["transactions"]:
            account = row["account"]
            is_unclaimed = account == "platform:unclaimed"
            role = "unclaimed" if is_unclaimed else account.partition(":")[0]
            role = "disputed" if account.endswith(":disputed") else role
            found[row["reference_id"]][role] += row["amount"]
        return found

    def attempt(self, attempt_id: str) -> Row | None:
        """By the id that was left with a processor."""
        return self.attempts.get(UUID(AttemptId.parse(attempt_id).hex))


def is_settled(attempt: Row) -> bool:
    """Whether it is known what came of it; what is not has bounds of its own."""
    return attempt["state"] in _SETTLED


def grouped(rows: Sequence[Row], column: str) -> Mapping[Any, Sequence[Row]]:
    """The rows by what stands in a column; nothing for what stands in none."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def name(payment_id: UUID) -> str:
    """A payment's id as people write it."""
    return str(PaymentId.of_hex(payment_id.hex))


async def read_books(connection: Connection, since: datetime | None = None) -> Books:
    """Everything of the payments that were made since then, or of all, as of one moment."""
    first = _least_id(since)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = {each: await connection.fetch(QUERIES[each], first) for each in _OF_PAYMENTS}
        rows |= {each: await connection.fetch(QUERIES[each]) for each in _OF_ALL}
        now = await connection.fetchval(QUERIES["now"])
    return Books(now, rows)


async def older_attempts(
    connection: Connection, since: datetime, attempt_ids: Iterable[str]
) -> frozenset[str]:
    """Those of these attempts that are of payments made before; by ids as processors have them."""
    ids = {UUID(AttemptId.parse(each).hex): each for each in attempt_ids}
    rows = await connection.fetch(QUERIES["older_attempts"], _least_id(since), list(ids))
    return frozenset(ids[row["id"]] for row in rows)


def _least_id(since: datetime | None) -> UUID:
    """The least id that a payment can have which was made since then: a UUIDv7 begins with it."""
    return UUID(int=0 if since is None else int(since.timestamp() * 1000) << 80)
