"""One commit may move a payment twice when both moves are told, which the database checks."""

import asyncpg
import pytest
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb

from tests.orchestrator.conftest import House
from tests.orchestrator.orders import execution

_TWO_MOVES = """
with moved as (update payments.payments set state = $1 returning id)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select id, from_state, to_state, 'test', now()
  from moved, unnest($2::text[], $3::text[]) as told (from_state, to_state)
"""


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("authorized", [("confirming", "authorized")]),
        ("authorized", [("created", "confirming")]),
        ("captured", [("created", "confirming"), ("confirming", "authorized")]),
        (
            "captured",
            [("created", "confirming"), ("confirming", "authorized"), ("authorized", "captured")],
        ),
    ],
)
async def test_the_database_takes_two_moves_at_once_when_both_are_told_and_no_more(
    house: House, state: str, told: list[tuple[str, str]]
) -> None:
    context = execution().context
    await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key=context.idempotency_key, context=context)
    )
    async with house.database.connection() as connection:
        befores, afters = zip(*told, strict=True)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(_TWO_MOVES, state, list(befores), list(afters))
        both = ["created", "confirming"], ["confirming", "authorized"]
        await connection.execute(_TWO_MOVES, "authorized", *both)
