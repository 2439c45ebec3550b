"""Whether the platform knows of every dispute what the bank has done, and what follows of it."""

from collections.abc import Iterator, Sequence
from typing import Final

from oracle.books import Books, Row, name
from oracle.record import Objection, Record
from oracle.report import Bounds, Violation

_STATES: Final = {
    "needs_response": "opened",
    "under_review": "opened",
    "won": "won",
    "lost": "lost",
}


def check_disputes(books: Books, record: Record, bounds: Bounds) -> Iterator[Violation]:
    """Everything in which what banks have done and what was heard of it differ.

    What was done just now may be on its way.
    """
    heard = {
        row["processor_reference"]: row
        for row in books.rows["disputes"]
        if row["processor_id"] in record.processors
    }
    for each in record.objections:
        row = heard.pop(each.id, None)
        if each.is_inquiry or each.attempt_id is None or each.moved_at > books.now - bounds.work:
            continue
        if row is None:
            message = f"{each.amount_minor} of {each.attempt_id} is disputed, and nobody heard"
            yield Violation("dispute.unheard", each.id, message)
        else:
            yield from _differences(each, row)
    for reference, row in heard.items():
        message = f"{name(row['payment_id'])} counts as disputed, and nobody disputes it"
        yield Violation("dispute.made_up", reference, message)


def _differences(each: Objection, row: Row) -> Iterator[Violation]:
    theirs = {
        "amount": each.amount_minor,
        "fee": each.fee_minor,
        "state": _STATES[each.state],
        "funds_withdrawn": each.funds_withdrawn,
        "funds_reinstated": each.funds_reinstated,
    }
    for column, value in theirs.items():
        if row[column] != value:
            message = f"its {column} is {value} at the bank, and {row[column]} here"
            yield Violation("dispute.differs", each.id, message)


def is_contradictory(row: Row) -> bool:
    """Whether what was told of a dispute cannot all be so."""
    return bool(row["state"] == "lost" and row["funds_reinstated"])


def disputed_minor(rows: Sequence[Row]) -> tuple[int, int]:
    """What banks hold of a payment's money, and how much of it may still come back."""
    held = [row for row in rows if row["funds_withdrawn"] and not row["funds_reinstated"]]
    waiting = sum(row["amount"] for row in held if row["state"] != "lost")
    return sum(row["amount"] for row in held) + sum(row["fee"] for row in rows), waiting
