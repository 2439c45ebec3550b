"""Payments as they stand, put together again from their rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.kernel.ids import AttemptId, PaymentId, StepId
from services.kernel.money import Currency, Money
from services.kernel.outcome import ErrorCode
from services.orchestrator.domain.attempt import Attempt, Redirect, Step
from services.orchestrator.domain.events import FinalError
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.record import Standing
from services.orchestrator.domain.state import (
    AttemptState,
    Operation,
    PaymentState,
    PostingState,
    StepState,
)
from services.orchestrator.store.rows import Codec
from services.runtime.database import Connection, Record
from services.runtime.queries import load_queries

SQL: Final = load_queries(__package__)


async def find_payments(
    connection: Connection, codec: Codec, ids: Sequence[object]
) -> Sequence[Payment]:
    """The payments with these ids, newest first."""
    payments = await connection.fetch(SQL["find_payments"], ids)
    steps = _by_payment(await connection.fetch(SQL["find_steps"], ids))
    attempts = _by_payment(await connection.fetch(SQL["find_attempts"], ids))
    postings = _by_payment(await connection.fetch(SQL["find_posting_states"], ids))
    found = []
    for row in payments:
        currency = Currency(row["currency"])
        found.append(
            Payment(
                PaymentId.of_hex(row["id"].hex),
                codec.read_request(row["request"]),
                _standing(row),
                plan=None if row["plan"] is None else codec.read_plan(row["plan"]),
                steps=[_step(each, currency) for each in steps[row["id"]]],
                attempts=[_attempt(each, currency) for each in attempts[row["id"]]],
                posting_states=[PostingState(each["state"]) for each in postings[row["id"]]],
                version=row["version"],
            )
        )
    return found


def _by_payment(rows: Iterable[Record]) -> Mapping[object, list[Record]]:
    found: dict[object, list[Record]] = defaultdict(list)
    for row in rows:
        found[row["payment_id"]].append(row)
    return found


def _standing(row: Record) -> Standing:
    return Standing(
        state=PaymentState(row["state"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        final_error=None
        if row["error_code"] is None
        else FinalError(
            ErrorCode(row["error_code"]),
            row["decline_code"],
            row["user_message"],
            row["error_step"],
        ),
        redirect=None
        if row["redirect_url"] is None
        else Redirect(row["redirect_url"], row["redirect_return_url"]),
        action_expires_at=row["action_expires_at"],
        in_doubt_since=row["in_doubt_since"],
        needs_reconciliation=row["needs_reconciliation"],
    )


def _step(row: Record, currency: Currency) -> Step:
    return Step(
        id=StepId.of_hex(row["id"].hex),
        index=row["index"],
        amount=Money(row["amount"], currency),
        state=StepState(row["state"]),
        authorized=Money(row["authorized"], currency),
        captured=Money(row["captured"], currency),
        refunded=Money(row["refunded"], currency),
        disputed=Money(row["disputed"], currency),
        excess=Money(row["excess"], currency),
        platform_fee=Money(row["platform_fee"], currency),
        processor_id=row["processor_id"],
        processor_reference=row["processor_reference"],
        error_code=None if row["error_code"] is None else ErrorCode(row["error_code"]),
        is_retryable=row["retryable"],
        latency_ms=row["latency_ms"],
    )


def _attempt(row: Record, currency: Currency) -> Attempt:
    """An attempt without what was told of it, which is read to explain it and for nothing else."""
    return Attempt(
        id=AttemptId.of_hex(row["id"].hex),
        step_id=StepId.of_hex(row["step_id"].hex),
        number=row["number"],
        operation=Operation(row["operation"]),
        processor_id=row["processor_id"],
        amount=Money(row["amount"], currency),
        hold=row["processor_reference"],
        idempotency_key=row["idempotency_key"],
        created_at=row["created_at"],
        state=AttemptState(row["state"]),
        settled_at=row["settled_at"],
    )
