"""The one function: asks every question, and answers with one report."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Final

from payments.ledger.v1.ledger_service_pb2 import VerifyIntegrityRequest
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from oracle.books import Books, older_attempts, read_books
from oracle.disputes import check_disputes
from oracle.ledger import check_ledger
from oracle.outside import check_record
from oracle.record import Record
from oracle.report import Bounds, Report, Violation
from oracle.rest import check_rest
from oracle.telling import check_telling
from services.runtime.database import Connection

_COUNTED: Final = {
    "payments": "payments",
    "steps": "steps",
    "attempts": "attempts",
    "postings": "postings",
    "transitions": "transitions",
    "told": "messages",
}


async def consult(
    connection: Connection,
    record: Record | None = None,
    *,
    ledger: LedgerServiceStub | None = None,
    bounds: Bounds | None = None,
    since: datetime | None = None,
) -> Report:
    """Whether the platform holds what happened, once and in full.

    `record` is what the processors themselves say; `ledger` is asked whether a hash block is
    broken. Without either, that question is left out. Record and tables are of one moment only when
    all is quiet: what moves money in between may look like a difference. `since` leaves out
    payments that were made before.
    """
    books = await read_books(connection, since)
    if since is not None and record is not None:
        older = await older_attempts(connection, since, record.attempt_ids)
        record = record.without(older)
    violations = list(_violations(books, record, bounds or Bounds()))
    if ledger is not None:
        violations += [each async for each in _broken_blocks(ledger)]
    return _report(books, record, violations)


def _violations(books: Books, record: Record | None, bounds: Bounds) -> Iterator[Violation]:
    if record is not None:
        yield from check_record(books, record)
        yield from check_disputes(books, record, bounds)
    yield from check_ledger(books)
    yield from check_rest(books, bounds)
    yield from check_telling(books, bounds)


async def _broken_blocks(ledger: LedgerServiceStub) -> AsyncIterator[Violation]:
    async for response in ledger.VerifyIntegrity(VerifyIntegrityRequest()):
        if response.HasField("verdict"):
            for finding in response.verdict.findings:
                yield Violation("ledger.seal", f"block {finding.block_number}", finding.message)


def _report(books: Books, record: Record | None, violations: list[Violation]) -> Report:
    captured: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for step in books.rows["steps"]:
        currency = books.payments[step["payment_id"]]["currency"]
        captured[currency] += step["captured"]
        refunded[currency] += step["refunded"]
    payments = books.rows["payments"]
    return Report(
        payments=Counter(each["state"] for each in payments),
        checked={word: len(books.rows[name]) for name, word in _COUNTED.items()},
        outside=_outside(record),
        captured_minor=+captured,
        refunded_minor=+refunded,
        messages=len(books.rows["told"]),
        in_doubt=sum(each["in_doubt_since"] is not None for each in payments),
        needs_reconciliation=sum(each["needs_reconciliation"] for each in payments),
        violations=tuple(violations),
    )


def _outside(record: Record | None) -> Counter[str]:
    if record is None:
        return Counter()
    holds = Counter(f"holds {each.state}" for each in record.holds)
    returns = Counter(f"returns {each.state}" for each in record.returns)
    return holds + returns + Counter(f"disputes {each.state}" for each in record.objections)
