"""Keeps a few messages of each kind as a release wrote them, for later releases to read.

`python -m tools.corpus DATABASE_URL` takes them from a database that has seen much, such as the one
that a storm of `make torture` leaves behind, and writes contracts/corpus/<version>.jsonl: a message
a line, byte for byte, with what it meant when it was written.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.events.v1.envelope_pb2 import Envelope
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    RESPONSE_MODE_WAIT,
    ExecutePlanRequest,
    RefundPaymentResponse,
)
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.plan.v1.payment_plan_pb2 import PaymentPlan
from payments.router.v1.router_service_pb2 import ExecuteAttemptResponse

from tools.contracts import RELEASES, ROOT, Version

CORPUS: Final = ROOT / "contracts" / "corpus"
KINDS: Final[dict[str, type[Message]]] = {
    "envelope": Envelope,
    "request": CoreRequestContext,
    "plan": PaymentPlan,
    "order": ExecutePlanRequest,
    "answer": Payment,
    "refund_answer": RefundPaymentResponse,
    "attempt_record": ExecuteAttemptResponse,
}
# Each row: the kind, what sorts of it there are, and the bytes; a few of each sort are kept.
_FEW: Final = 3
_WRITTEN: Final = """
select 'envelope' as kind, type as sort, payload as body from messaging.outbox
union all
select 'request', state, request from payments.payments
union all
select 'plan', state, plan from payments.plans join payments.payments on id = payment_id
union all
select case when refund_id is null then 'answer' else 'refund_answer' end, operation, answer
  from payments.idempotency where answer is not null
union all
select 'attempt_record', operation || ' ' || state, records[1]
  from payments.attempts where records is not null
"""
# What was ordered and how it ended, where that follows from the cards alone.
_ORDERED: Final = """
select state, request, plan from payments.payments join payments.plans on payment_id = id
 where position('threeDSecure'::bytea in request) = 0
   and position('createDispute'::bytea in request) = 0
   and (state = 'failed') = (position('chargeDeclined'::bytea in request) > 0)
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One message of the corpus."""

    kind: str
    sort: str
    """Which of its kind: an event's type, what was called, the state of its payment."""
    body: str
    """Its bytes, in base64."""
    meaning: dict[str, Any]
    """What they say, by the names of fields and values that the release knew."""

    @classmethod
    def of(cls, kind: str, sort: str, body: bytes) -> "Kept":
        return cls(kind, sort, base64.b64encode(body).decode(), meaning(kind, body))

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.body)


def meaning(kind: str, body: bytes) -> dict[str, Any]:
    """What a message says to today's code."""
    said: dict[str, Any] = MessageToDict(
        KINDS[kind].FromString(body), preserving_proto_field_name=True
    )
    return said


def read(path: Path) -> Sequence[Kept]:
    """The messages of one release."""
    return [Kept(**json.loads(line)) for line in path.read_text().splitlines()]


def few_of_each(rows: Sequence[tuple[str, str, bytes]]) -> Iterator[Kept]:
    """The shortest, the longest and one in between of each sort."""
    sorts: dict[tuple[str, str], set[bytes]] = {}
    for kind, sort, body in rows:
        sorts.setdefault((kind, sort), set()).add(body)
    for (kind, sort), bodies in sorted(sorts.items()):
        ordered = sorted(bodies, key=lambda body: (len(body), body))
        chosen = {0, len(ordered) // 2, len(ordered) - 1}
        assert len(chosen) <= _FEW
        for place in sorted(chosen):
            yield Kept.of(kind, sort, ordered[place])


def _order(request: bytes, plan: bytes) -> bytes:
    """The call that ordered a payment, as it came or would have come."""
    context = CoreRequestContext.FromString(request)
    return ExecutePlanRequest(
        idempotency_key=context.idempotency_key,
        context=context,
        plan=PaymentPlan.FromString(plan),
        response_mode=RESPONSE_MODE_WAIT,
    ).SerializeToString()


async def _record(database_url: str) -> Path:
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetch(_WRITTEN)
        ordered = await connection.fetch(_ORDERED)
    finally:
        await connection.close()
    rows = [(row["kind"], row["sort"], bytes(row["body"])) for row in found]
    rows += [("order", row["state"], _order(row["request"], row["plan"])) for row in ordered]
    version = max(Version.parse(each.name) for each in RELEASES.iterdir())
    path = CORPUS / f"{version}.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(asdict(each), sort_keys=True) for each in few_of_each(rows)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def main() -> int:
    """Write the corpus of the last release."""
    (database_url,) = sys.argv[1:]
    path = asyncio.run(_record(database_url))
    sys.stdout.write(f"{len(read(path))} messages are kept in {path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
