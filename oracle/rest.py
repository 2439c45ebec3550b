"""Whether everything has come to rest or is visibly on its way: nothing stuck or forgotten."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from oracle.books import Books, Row, grouped, is_settled, name
from oracle.report import Bounds, Violation

_MOVING = frozenset({"processing", "in_doubt", "requires_action"})
_TAKEN = frozenset({"captured", "refunded", "disputed"})


def check_rest(books: Books, bounds: Bounds) -> Iterator[Violation]:
    """Everything that should have ended, and has not."""
    for payment in books.rows["payments"]:
        yield from _check_payment(books, payment, bounds)
        yield from _check_doubt(books, payment, bounds)
        yield from _check_state(books, payment)
    yield from _check_steps(books)
    yield from _check_parts(books)
    yield from _check_path(books)
    for posting in books.rows["postings"]:
        if posting["state"] == "pending" and _is_past(books, posting["created_at"], bounds.work):
            message = f"is still to be posted after {posting['try_count']} tries"
            yield Violation("posting.pending", posting["idempotency_key"], message)
    for call in books.rows["unanswered"]:
        if _is_past(books, call["first_used_at"], bounds.work):
            message = f"nobody was told what came of {call['operation']} {call['key']}"
            yield Violation("call.unanswered", name(call["payment_id"]), message)


def _is_past(books: Books, moment: datetime | None, bound: timedelta) -> bool:
    return moment is not None and moment < books.now - bound


def _check_payment(books: Books, payment: Row, bounds: Bounds) -> Iterator[Violation]:
    """What is under way is due at some time, and what is due is done."""
    owner = name(payment["id"])
    attempts = books.attempts_of[payment["id"]]
    for each in attempts:
        if each["state"] == "open" and _is_past(books, each["created_at"], bounds.work):
            yield Violation("attempt.open", owner, f"its {each['operation']} was never carried out")
        is_asleep = not is_settled(each) and each["state"] != "open" and not each["look_up_at"]
        if is_asleep and not payment["needs_reconciliation"]:
            message = f"its {each['operation']} is {each['state']}, and nobody will look it up"
            yield Violation("attempt.forgotten", owner, message)
    if _is_past(books, payment["due_at"], bounds.work):
        yield Violation("payment.left", owner, f"is due since {payment['due_at']:%H:%M:%S}")
    is_scheduled = payment["due_at"] is not None
    has_work = any(each["state"] == "open" or each["look_up_at"] for each in attempts)
    if has_work and not is_scheduled:
        yield Violation(
            "payment.unscheduled", owner, "something is to be done, and it is never due"
        )
    is_wanted = payment["state"] == "authorized" and payment["capture_amount"] is not None
    if (payment["state"] == "confirming" or is_wanted) and all(map(is_settled, attempts)):
        message = f"is {payment['state']}, and all that was asked for it has ended"
        yield Violation("payment.stuck", owner, message)


def _check_doubt(books: Books, payment: Row, bounds: Bounds) -> Iterator[Violation]:
    owner, since = name(payment["id"]), payment["in_doubt_since"]
    is_in_doubt = any(each["state"] == "in_doubt" for each in books.attempts_of[payment["id"]])
    if is_in_doubt and since is None:
        yield Violation("doubt.hidden", owner, "an attempt is in doubt, and the payment is not")
    if since is not None and not is_in_doubt:
        yield Violation("doubt.groundless", owner, "is in doubt, and none of its attempts is")
    if bounds.in_doubt is not None and _is_past(books, since, bounds.in_doubt):
        yield Violation("doubt.too_long", owner, f"is in doubt since {since:%H:%M:%S}")


def _check_state(books: Books, payment: Row) -> Iterator[Violation]:
    """A payment's state is what its steps amount to."""
    steps = books.steps_of[payment["id"]]
    captured = sum(step["captured"] for step in steps)
    refunded = sum(step["refunded"] for step in steps)
    state, owner = payment["state"], name(payment["id"])
    if state in _TAKEN and not captured:
        yield Violation("state.nothing_taken", owner, f"is {state}, and nothing was captured")
    if state in ("failed", "voided", "created") and captured:
        yield Violation("state.taken", owner, f"is {state}, and {captured} was captured")
    if state == "refunded" and any(
        posting["kind"] == "refund_reversal" for posting in books.postings_of[payment["id"]]
    ):
        # Some of it came back, and no state goes backward.
        return
    if (state == "refunded") != (state in _TAKEN - {"disputed"} and refunded >= captured > 0):
        message = f"is {state} with {refunded} of {captured} returned"
        yield Violation("state.refunded", owner, message)


def _check_steps(books: Books) -> Iterator[Violation]:
    attempts = grouped(books.rows["attempts"], "step_id")
    for step in books.rows["steps"]:
        asked = [each for each in attempts[step["id"]] if each["operation"] != "refund"]
        if step["state"] in _MOVING and all(map(is_settled, asked)):
            message = f"its step {step['index']} is {step['state']}, and nothing is under way"
            yield Violation("step.stuck", name(step["payment_id"]), message)


def _check_parts(books: Books) -> Iterator[Violation]:
    """What is reserved for refunds is what they have not returned yet."""
    attempts = {each["part_id"]: each for each in books.rows["attempts"] if each["part_id"]}
    promised = grouped(
        [each for each in books.rows["parts"] if each["state"] == "pending"], "step_id"
    )
    for step in books.rows["steps"]:
        pending = sum(part["amount"] for part in promised[step["id"]])
        if pending != step["refund_reserved"]:
            message = f"{step['refund_reserved']} is reserved for refunds of {pending}"
            yield Violation("refund.reserve", name(step["payment_id"]), message)
    for part in books.rows["parts"]:
        attempt = attempts.get(part["id"])
        # One that the processor made by itself was paid out by no attempt of ours.
        if attempt is not None and is_settled(attempt) and part["state"] != attempt["state"]:
            message = f"a part of its refund is {part['state']}, its attempt {attempt['state']}"
            yield Violation("refund.part", name(part["payment_id"]), message)


def _check_path(books: Books) -> Iterator[Violation]:
    """Each payment came to where it stands by moves that are allowed, one after another."""
    allowed = {(row["from_state"], row["to_state"]) for row in books.rows["allowed_moves"]}
    paths = grouped(books.rows["transitions"], "payment_id")
    for payment in books.rows["payments"]:
        before: str | None = None
        for move in paths[payment["id"]]:
            step = move["from_state"], move["to_state"]
            if move["from_state"] != before or (before is not None and step not in allowed):
                message = f"went from {step[0]} to {step[1]} when it was {before}"
                yield Violation("state.path", name(payment["id"]), message)
            before = move["to_state"]
        if before != payment["state"]:
            message = f"is {payment['state']}, and its last transition led to {before}"
            yield Violation("state.path", name(payment["id"]), message)
