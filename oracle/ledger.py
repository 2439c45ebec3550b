"""Whether the ledger holds what payments owe it: each posting once, and together what they say."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from oracle.books import Books, Row, name
from oracle.disputes import disputed_minor, is_contradictory
from oracle.report import Violation

_ROLES: Final = ("processor", "merchant", "disputed", "platform", "unclaimed")


def check_ledger(books: Books) -> Iterator[Violation]:
    """Everything in which postings, the ledger and the payments themselves differ."""
    yield from _check_zero(books)
    yield from _check_postings(books)
    for payment_id, payment in books.payments.items():
        yield from _check_amounts(books, payment)
        # Of a dispute that was lost and given back all the same, a person is told.
        if not any(map(is_contradictory, books.disputes_of[payment_id])):
            yield from _check_accounts(books, payment)


def _check_zero(books: Books) -> Iterator[Violation]:
    for row in books.rows["sums"]:
        if row["total"]:
            yield Violation("ledger.sum", row["currency"], f"the ledger sums to {row['total']}")
    for row in books.rows["unbalanced"]:
        message = f"sums to {row['total']} {row['currency']}"
        yield Violation("ledger.unbalanced", f"ltx_{row['transaction_id'].hex}", message)


def _check_postings(books: Books) -> Iterator[Violation]:
    """Each posting is one transaction with its entries, and each transaction one posting."""
    entries: dict[str, Counter[tuple[str, int, str]]] = defaultdict(Counter)
    ids: dict[str, tuple[UUID, str]] = {}
    for row in books.rows["transactions"]:
        entries[row["idempotency_key"]][row["account"], row["amount"], row["currency"]] += 1
        ids[row["idempotency_key"]] = row["id"], row["reference_id"]
    for key, posting in books.postings.items():
        owed = Counter(
            (each["account"], each["amount_minor"], each["currency"])
            for each in json.loads(posting["entries"])
        )
        if posting["state"] == "posted" and key not in ids:
            yield Violation("posting.lost", key, "counts as posted, and the ledger has it not")
        elif posting["state"] == "posted" and ids[key][0] != posting["transaction_id"]:
            yield Violation("posting.other", key, "names another transaction than the ledger's")
        if key in ids and (entries[key] != owed or ids[key][1] != name(posting["payment_id"])):
            yield Violation("posting.entries", key, "the ledger has other entries, or another's")
    for key in ids.keys() - books.postings.keys():
        yield Violation("ledger.not_owed", key, "the ledger has it, and no payment owes it")


def _check_amounts(books: Books, payment: Row) -> Iterator[Violation]:
    """What was posted for a payment is what its steps say, and nothing beyond what they took."""
    owed: Counter[str] = Counter()
    for posting in books.postings_of[payment["id"]]:
        owed[posting["kind"]] += posting["amount"]
    owed["refund"] -= owed["refund_reversal"]
    steps = books.steps_of[payment["id"]]
    owner = name(payment["id"])
    for kind, column in (("capture", "captured"), ("refund", "refunded")):
        total = sum(step[column] for step in steps)
        if owed[kind] != total:
            message = f"{total} was {column}, and postings say {owed[kind]}"
            yield Violation(f"posting.{column}", owner, message)
    if owed["late_success_reversal"] > owed["late_success"]:
        yield Violation("posting.late", owner, "more was returned late than came late")
    for step in steps:
        room = step["captured"] + step["excess"]
        spent = step["refunded"] + step["refund_reserved"] + step["disputed"]
        if spent > room:
            message = f"{spent} is paid out or promised of {room}"
            yield Violation("headroom.exceeded", f"step_{step['id'].hex}", message)


def _check_accounts(books: Books, payment: Row) -> Iterator[Violation]:
    """Once all is posted, each account got what follows from the payment's own amounts."""
    if any(each["state"] != "posted" for each in books.postings_of[payment["id"]]):
        return
    expected = _expected(books, payment)
    found = books.moved[name(payment["id"])]
    for role in _ROLES:
        if found[role] != expected[role]:
            message = f"{role} holds {found[role]}, and {expected[role]} follows from its amounts"
            yield Violation("ledger.account", name(payment["id"]), message)


def _expected(books: Books, payment: Row) -> Counter[str]:
    steps = books.steps_of[payment["id"]]
    kept = sum(step["captured"] - step["refunded"] for step in steps)
    fees = sum(step["platform_fee"] - step["fee_returned"] for step in steps)
    late = sum(
        each["amount"] * (1 if each["kind"] == "late_success" else -1)
        for each in books.postings_of[payment["id"]]
        if each["kind"].startswith("late_success")
    )
    gone, waiting = disputed_minor(books.disputes_of[payment["id"]])
    return Counter(
        {
            "processor": gone - kept - late,
            "merchant": kept - fees - (gone - waiting),
            "disputed": -waiting,
            "platform": fees,
            "unclaimed": late,
        }
    )
