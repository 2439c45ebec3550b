"""Payments as they stand, put together again from their rows."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from services.kernel.ids import (
    AttemptId,
    DisputeId,
    MerchantId,
    PaymentId,
    RefundId,
    RefundPartId,
    RequestId,
    StepId,
)
from services.kernel.money import Currency, Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Attempt, Evidence, Redirect, Step
from services.orchestrator.domain.command import Call
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.events import FinalError
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.record import Parts, Standing
from services.orchestrator.domain.refund import Refund, RefundPart
from services.orchestrator.domain.state import (
    AttemptState,
    DisputeState,
    Operation,
    PaymentState,
    PostingState,
    RefundState,
    StepState,
)
from services.orchestrator.store.unit import Codec
from services.runtime.database import Connection, Record
from services.runtime.queries import load_queries

SQL: Final = load_queries(__package__)

_PARTS: Final = (
    "find_steps",
    "find_attempts",
    "find_refunds",
    "find_refund_parts",
    "find_disputes",
    "find_posting_states",
    "find_unanswered",
)


async def find_payments(
    connection: Connection, codec: Codec, ids: Sequence[object]
) -> Sequence[Payment]:
    """The payments with these ids, newest first."""
    return [build() for build in (await read_payments(connection, codec, ids)).values()]


async def read_payments(
    connection: Connection, codec: Codec, ids: Sequence[object]
) -> Mapping[PaymentId, Callable[[], Payment]]:
    """What makes the payments with these ids, newest first, any number of times."""
    payments = await connection.fetch(SQL["find_payments"], ids)
    rows = {name: _by_payment(await connection.fetch(SQL[name], ids)) for name in _PARTS}
    return {
        PaymentId.of_hex(row["id"].hex): partial(
            _payment, row, {name: rows[name][row["id"]] for name in _PARTS}, codec
        )
        for row in payments
    }


def _payment(row: Record, rows: Mapping[str, Sequence[Record]], codec: Codec) -> Payment:
    currency = Currency(row["currency"])
    return Payment(
        PaymentId.of_hex(row["id"].hex),
        codec.read_request(row["request"]),
        _standing(row, currency),
        Parts(
            plan=None if row["plan"] is None else codec.read_plan(row["plan"]),
            steps=[_step(each, currency) for each in rows["find_steps"]],
            attempts=[_attempt(each, currency) for each in rows["find_attempts"]],
            refunds=refunds_of(rows["find_refunds"], rows["find_refund_parts"], currency),
            disputes=[dispute_of(each, currency) for each in rows["find_disputes"]],
            posting_states=[PostingState(each["state"]) for each in rows["find_posting_states"]],
            unanswered=[_call(each) for each in rows["find_unanswered"]],
        ),
        version=row["version"],
    )


def _by_payment(rows: Iterable[Record]) -> Mapping[object, list[Record]]:
    found: dict[object, list[Record]] = defaultdict(list)
    for row in rows:
        found[row["payment_id"]].append(row)
    return found


def _standing(row: Record, currency: Currency) -> Standing:
    return Standing(
        state=PaymentState(row["state"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        capture_wanted=_optional(row["capture_amount"], currency),
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
        withdrawn=row["withdrawn"],
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
        reserved=Money(row["refund_reserved"], currency),
        disputed=Money(row["disputed"], currency),
        excess=Money(row["excess"], currency),
        platform_fee=Money(row["platform_fee"], currency),
        fee_returned=Money(row["fee_returned"], currency),
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
        reference=row["result_reference"],
        part_id=None if row["part_id"] is None else RefundPartId.of_hex(row["part_id"].hex),
        late=row["late"],
        capture_at_once=row["capture_at_once"],
        lookups=row["lookup_count"],
        look_up_at=row["look_up_at"],
        evidence=None if row["evidence"] is None else _evidence(json.loads(row["evidence"])),
        settled_at=row["settled_at"],
    )


def _evidence(fields: Mapping[str, str]) -> Evidence:
    return Evidence(
        Outcome(fields["outcome"]), fields["reference"], fields["source"], fields["operator"]
    )


def refunds_of(
    refunds: Sequence[Record], parts: Sequence[Record], currency: Currency
) -> Sequence[Refund]:
    own: dict[object, list[RefundPart]] = defaultdict(list)
    for each in parts:
        own[each["refund_id"]].append(_part(each, currency))
    return [
        Refund(
            id=RefundId.of_hex(row["id"].hex),
            amount=Money(row["amount"], currency),
            reason=row["reason"],
            idempotency_key=row["idempotency_key"],
            parts=tuple(own[row["id"]]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        for row in refunds
    ]


def _part(row: Record, currency: Currency) -> RefundPart:
    return RefundPart(
        id=RefundPartId.of_hex(row["id"].hex),
        step_id=StepId.of_hex(row["step_id"].hex),
        amount=Money(row["amount"], currency),
        processor_id=row["processor_id"],
        fee_returned=Money(row["fee_returned"], currency),
        state=RefundState(row["state"]),
        processor_reference=row["processor_reference"],
        error_code=None if row["error_code"] is None else ErrorCode(row["error_code"]),
    )


def dispute_of(row: Record, currency: Currency) -> Dispute:
    return Dispute(
        id=DisputeId.of_hex(row["id"].hex),
        step_id=StepId.of_hex(row["step_id"].hex),
        state=DisputeState(row["state"]),
        amount=Money(row["amount"], currency),
        excess=Money(row["excess"], currency),
        fee=Money(row["fee"], currency),
        funds_withdrawn=row["funds_withdrawn"],
        funds_reinstated=row["funds_reinstated"],
        reason=row["reason"],
        processor_id=row["processor_id"],
        processor_reference=row["processor_reference"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
    )


def _call(row: Record) -> Call:
    return Call(
        MerchantId.of_hex(row["merchant_id"].hex),
        row["key"],
        RequestId.of_hex(row["request_id"].hex),
        row["operation"],
        None if row["refund_id"] is None else RefundId.of_hex(row["refund_id"].hex),
    )


def _optional(amount_minor: int | None, currency: Currency) -> Money | None:
    return None if amount_minor is None else Money(amount_minor, currency)
