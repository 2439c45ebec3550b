"""Whether every committed change was told of, in order, and each consumer had it once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from oracle.books import Books, Row, grouped, name
from oracle.report import Bounds, Violation
from oracle.returns import came_back

# What tells of a change of state. A refund is told of for each part, whatever state follows.
_TELLS: Final[Mapping[str, str]] = {
    "created": "PaymentCreated",
    "authorized": "PaymentAuthorized",
    "captured": "PaymentCaptured",
    "failed": "PaymentFailed",
    "voided": "PaymentVoided",
}


def check_telling(books: Books, bounds: Bounds) -> Iterator[Violation]:
    """Everything that was not told, or not heard."""
    told = grouped(books.rows["told"], "key")
    moves = grouped(books.rows["transitions"], "payment_id")
    parts = grouped(books.rows["parts"], "payment_id")
    for payment in books.rows["payments"]:
        messages = [each for each in told[name(payment["id"])] if each["type"] != "LedgerPosted"]
        # Messages are kept for a week: a payment whose first one is gone is past asking.
        if any(each["type"] == "PaymentCreated" for each in messages):
            counts = Counter(each["type"] for each in messages)
            yield from _check_moves(payment, moves[payment["id"]], counts)
            yield from _check_refunds(books, payment, parts[payment["id"]], counts)
            yield from _check_numbers(payment, messages)
    yield from _check_bus(books, bounds)


def _check_moves(payment: Row, moves: Sequence[Row], counts: Counter[str]) -> Iterator[Violation]:
    for move in moves:
        expected = _TELLS.get(move["to_state"])
        if expected is not None and counts[expected] != 1:
            message = f"became {move['to_state']}, and {counts[expected]} {expected} were written"
            yield Violation("event.missing", name(payment["id"]), message)


def _check_refunds(
    books: Books, payment: Row, parts: Sequence[Row], counts: Counter[str]
) -> Iterator[Violation]:
    back = sum(came_back(books, part["id"]) for part in parts)
    for state, expected in (("succeeded", "PaymentRefunded"), ("failed", "PaymentRefundFailed")):
        ended = sum(part["state"] == state for part in parts) + (back if state == "failed" else 0)
        if ended != counts[expected]:
            message = f"{ended} refunds {state}, and {counts[expected]} {expected} were written"
            yield Violation("event.missing", name(payment["id"]), message)


def _check_numbers(payment: Row, messages: list[Row]) -> Iterator[Violation]:
    numbers = [each["sequence"] for each in messages]
    if min(numbers) != 1 or max(numbers) > payment["version"]:
        message = f"events {min(numbers)} to {max(numbers)} at version {payment['version']}"
        yield Violation("event.numbers", name(payment["id"]), message)


def _check_bus(books: Books, bounds: Bounds) -> Iterator[Violation]:
    latest = books.now - bounds.work
    for row in books.rows["waiting_messages"]:
        if row["written_at"] < latest:
            message = f"{row['type']} of {row['key']} waits to be published: {row['error']}"
            yield Violation("event.unpublished", row["id"], message)
    for row in books.rows["unhandled"]:
        if row["state"] == "dead":
            message = f"{row['consumer']} gave up on {row['type']} of {row['key']}: {row['error']}"
            yield Violation("event.dead", row["event_id"], message)
        elif row["received_at"] < latest:
            message = f"{row['consumer']} has not done {row['type']} of {row['key']}"
            yield Violation("event.unhandled", row["event_id"], message)
    for row in books.rows["not_taken_in"]:
        if row["relayed_at"] < latest:
            message = f"{row['consumer']} was not given {row['type']} of {row['key']}"
            yield Violation("event.lost", row["id"], message)
