"""What there may be one of, the database holds to one, whoever sends the SQL."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from payments.orchestrator.v1.orchestrator_service_pb2 import RefundPaymentRequest

from services.runtime.database import Connection
from tests.orchestrator.conftest import House
from tests.orchestrator.orders import about, execution

_DISPUTE = """
insert into payments.disputes (id, payment_id, step_id, state, amount, reason, processor_id,
       processor_reference, opened_at)
select gen_random_uuid(), payment_id, id, 'opened', 1, 'fraudulent', processor_id, 'dp_1', now()
  from payments.steps
"""


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[Connection]:
    """Who owns the tables, and is careless rather than hostile."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def test_a_key_makes_one_payment_whatever_the_table_of_keys_says(
    house: House, owner: Connection
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.UniqueViolationError, match="payments_merchant_id_idempotency_key"):
        await owner.execute(
            """with made as (
                   insert into payments.payments (id, version, state, merchant_id, amount, currency,
                          idempotency_key, request_id, request, created_at, updated_at)
                   select uuidv7(), 1, 'created', merchant_id, amount, currency, idempotency_key,
                          gen_random_uuid(), request, now(), now()
                     from payments.payments
                   returning id
               )
               insert into payments.transitions (payment_id, to_state, cause, occurred_at)
               select id, 'created', 'test', now() from made"""
        )


async def test_no_two_attempts_go_by_one_key(house: House, owner: Connection) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.UniqueViolationError, match="attempts_idempotency_key"):
        await owner.execute(
            """insert into payments.attempts (id, payment_id, step_id, number, operation,
                      processor_id, amount, processor_reference, idempotency_key, key_expires_at,
                      created_at, state)
               select gen_random_uuid(), payment_id, step_id, 99, 'refund', processor_id, amount,
                      'pi_1', idempotency_key, now(), now(), 'open'
                 from payments.attempts where number = 1"""
        )


async def test_a_refund_at_the_processor_is_one_part_here(house: House, owner: Connection) -> None:
    payment = await house.execute(execution())
    await house.stub.RefundPayment(RefundPaymentRequest(**about(payment, "refund-1")))
    with pytest.raises(asyncpg.UniqueViolationError, match="refund_parts_by_reference"):
        await owner.execute(
            """insert into payments.refund_parts (id, refund_id, payment_id, step_id, position,
                      amount, state, processor_id, processor_reference)
               select gen_random_uuid(), refund_id, payment_id, step_id, 1, amount, state,
                      processor_id, processor_reference
                 from payments.refund_parts"""
        )


async def test_a_dispute_at_the_processor_is_one_here(house: House, owner: Connection) -> None:
    await house.execute(execution())
    await owner.execute(_DISPUTE)
    with pytest.raises(asyncpg.UniqueViolationError, match="processor_reference"):
        await owner.execute(_DISPUTE)


async def test_a_posting_is_owed_once(house: House, owner: Connection) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.UniqueViolationError, match="postings_idempotency_key"):
        await owner.execute(
            """insert into payments.postings (id, payment_id, kind, idempotency_key, amount,
                      currency, entries, created_at)
               select gen_random_uuid(), payment_id, kind, idempotency_key, amount, currency,
                      entries, now()
                 from payments.postings"""
        )


async def test_a_posting_is_posted_exactly_with_its_transaction(
    house: House, owner: Connection
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(
            "update payments.postings"
            " set state = 'posted', posted_at = now(), transaction_id = null"
        )


async def test_a_transition_that_no_move_may_make_is_not_written_down(
    house: House, owner: Connection
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.CheckViolationError, match="cannot go from captured to voided"):
        await owner.execute(
            """insert into payments.transitions (payment_id, from_state, to_state, cause,
                      occurred_at)
               select id, 'captured', 'voided', 'test', now() from payments.payments"""
        )
