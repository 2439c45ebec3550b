"""Whether each success at the processor is admitted and booked once, and none was made up.

What is not settled yet excuses a difference here: that it is settled in time, or visible, is asked
elsewhere.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from oracle.books import Books, Row, is_settled, name
from oracle.record import Hold, Record, Return
from oracle.report import Violation
from oracle.returns import came_back

_ADMITS_CAPTURE: Final = frozenset({"captured", "refunded", "disputed"})


def check_record(books: Books, record: Record) -> Iterator[Violation]:
    """Everything that the processor's record and the platform's differ in."""
    yield from _strangers(books, record)
    for hold in record.holds:
        yield from _check_hold(books, hold)
    for each in record.returns:
        yield from _check_return(books, each)
    yield from _made_up(books, record)


def _strangers(books: Books, record: Record) -> Iterator[Violation]:
    """What was done for no attempt of ours, or twice for the same."""
    for kind, things in (("hold", record.holds), ("return", record.returns)):
        operation = "authorize" if kind == "hold" else "refund"
        seen: Counter[str] = Counter()
        for each in things:
            if each.attempt_id is None:
                continue
            seen[each.attempt_id] += 1
            attempt = books.attempt(each.attempt_id)
            if attempt is None or attempt["operation"] != operation:
                message = f"was made for {each.attempt_id}, which is no {operation} of ours"
                yield Violation(f"{kind}.stranger", each.id, message)
            elif attempt["amount"] != each.amount_minor:
                message = f"is of {each.amount_minor}, and {attempt['amount']} was asked for"
                yield Violation(f"{kind}.amount", each.id, message)
        for attempt_id, count in seen.items():
            if count > 1:
                message = f"the processor did it {count} times"
                yield Violation(f"{kind}.twice", attempt_id, message)


def _check_hold(books: Books, hold: Hold) -> Iterator[Violation]:
    attempt = None if hold.attempt_id is None else books.attempt(hold.attempt_id)
    if attempt is None:
        return
    under_way = [attempt, *books.attempts_on[hold.id]]
    if not all(map(is_settled, under_way)):
        return
    if hold.is_taken:
        yield from _check_taken(books, hold, attempt)
        return
    booked = [each["idempotency_key"] for each in _taken_postings(books, hold)]
    if booked:
        message = f"is {hold.state} at the processor, and {', '.join(booked)} says it was taken"
        yield Violation("hold.not_taken", hold.id, message)
    believed = [step for step in books.steps_holding[hold.id] if step["state"] == "authorized"]
    payment = books.payments[attempt["payment_id"]]
    if hold.is_held and not believed:
        yield from _forgotten(hold, attempt, payment, under_way)
    if not hold.is_held and believed:
        message = f"is {hold.state} at the processor, and {name(payment['id'])} counts on it"
        yield Violation("hold.gone", hold.id, message)


def _forgotten(
    hold: Hold, attempt: Row, payment: Row, under_way: Sequence[Row]
) -> Iterator[Violation]:
    """Money held that the payment does not count on; a void that failed tells a person of it."""
    is_told = payment["needs_reconciliation"] and any(
        each["operation"] == "void" and each["state"] == "failed" for each in under_way
    )
    if not is_told:
        message = (
            f"still holds {hold.amount_minor}; its attempt {attempt['state']}, and"
            f" {name(payment['id'])} is {payment['state']}"
        )
        yield Violation("hold.forgotten", hold.id, message)


def _taken_postings(books: Books, hold: Hold) -> Sequence[Row]:
    """What was booked because a hold was taken, in time or too late."""
    keys = {f"capture:step_{step['id'].hex}" for step in books.steps_holding[hold.id]}
    attempts = [each for each in books.attempts_on[hold.id] if each["operation"] == "capture"]
    if hold.attempt_id is not None and (asked := books.attempt(hold.attempt_id)) is not None:
        # It had failed, and what it had asked for was taken all the same.
        attempts.append(asked)
    keys |= {f"late_success:att_{each['id'].hex}" for each in attempts}
    return [books.postings[key] for key in sorted(keys) if key in books.postings]


def _check_taken(books: Books, hold: Hold, attempt: Row) -> Iterator[Violation]:
    payment = books.payments[attempt["payment_id"]]
    owner = name(payment["id"])
    booked = _taken_postings(books, hold)
    if len(booked) != 1:
        message = f"{hold.received_minor} was taken for {owner} and booked {len(booked)} times"
        yield Violation("success.booked", hold.id, message)
        return
    (posting,) = booked
    if posting["amount"] != hold.received_minor or posting["currency"] != hold.currency:
        message = f"{hold.received_minor} was taken and {posting['amount']} booked"
        yield Violation("success.amount", hold.id, message)
    if posting["kind"] == "late_success":
        yield from _check_late(books, hold, payment)
    elif payment["state"] not in _ADMITS_CAPTURE and not _is_under_way(books, payment):
        message = f"{hold.received_minor} was taken, and {owner} is {payment['state']}"
        yield Violation("success.not_admitted", hold.id, message)


def _check_late(books: Books, hold: Hold, payment: Row) -> Iterator[Violation]:
    """What came too late goes back, or a person is told that it did not."""
    returned = [
        each
        for each in books.attempts_on[hold.id]
        if each["operation"] == "refund" and each["late"]
    ]
    keys = [f"late_success_returned:att_{each['id'].hex}" for each in returned]
    went_back = any(key in books.postings for key in keys)
    is_told = payment["needs_reconciliation"] and any(
        each["state"] == "failed" for each in returned
    )
    if not went_back and not is_told:
        message = f"{hold.received_minor} came too late and was neither returned nor reported"
        yield Violation("success.kept", hold.id, message)


def _is_under_way(books: Books, payment: Row) -> bool:
    return not all(map(is_settled, books.attempts_of[payment["id"]]))


def _check_return(books: Books, each: Return) -> Iterator[Violation]:
    attempt = None if each.attempt_id is None else books.attempt(each.attempt_id)
    if attempt is None or not is_settled(attempt):
        return
    key = (
        f"late_success_returned:att_{attempt['id'].hex}"
        if attempt["late"]
        else f"refund:rep_{attempt['part_id'].hex}"
    )
    posting = books.postings.get(key)
    if each.state != "succeeded":
        if attempt["state"] == "succeeded" and not came_back(books, attempt["part_id"]):
            message = f"is {each.state} at the processor, and counted as paid out"
            yield Violation("return.not_made", each.id, message)
    elif attempt["state"] != "succeeded" or posting is None:
        message = f"{each.amount_minor} went back, and the attempt {attempt['state']}"
        yield Violation("return.not_booked", each.id, message)
    elif posting["amount"] != each.amount_minor:
        message = f"{each.amount_minor} went back, and {posting['amount']} is booked"
        yield Violation("return.amount", each.id, message)


def _made_up(books: Books, record: Record) -> Iterator[Violation]:
    """What was booked for one of the record's processors, and that one knows nothing of."""
    taken = {each.id for each in record.holds if each.is_taken}
    returned = {each.id for each in record.returns if each.state == "succeeded"}
    for step in books.rows["steps"]:
        is_covered = step["processor_id"] in record.processors
        if is_covered and step["captured"] and step["processor_reference"] not in taken:
            message = f"{step['captured']} counts as captured, and nothing was taken"
            yield Violation("success.made_up", f"step_{step['id'].hex}", message)
    for attempt in books.rows["attempts"]:
        if (
            attempt["processor_id"] in record.processors
            and attempt["operation"] == "refund"
            and attempt["state"] == "succeeded"
            and attempt["reference"] not in returned
            and not came_back(books, attempt["part_id"])
        ):
            message = f"{attempt['amount']} counts as returned, and nothing went back"
            yield Violation("return.made_up", f"att_{attempt['id'].hex}", message)
