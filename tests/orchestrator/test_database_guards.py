"""The database alone refuses what breaks a payment, whoever sends the SQL."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.orchestrator_service_pb2 import RefundPaymentRequest

from services.orchestrator.domain.state import ALLOWED_MOVES, PaymentState
from services.runtime.database import Connection
from tests.conftest import DatabaseUrls
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, execution
from tests.router.attempts import unknown

_MOVE = """
with moved as (update payments.payments set state = $1 returning id)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select id, $2, $1, 'test', now() from moved
"""
_MOVE_UNTOLD = "update payments.payments set state = $1"
_ADD = """
with added as (
    insert into payments.payments (id, version, state, merchant_id, amount, currency,
           idempotency_key, request_id, request, created_at, updated_at)
    values ('01980000-0000-7000-8000-000000000001', 1, $1, gen_random_uuid(), 1, 'USD', 'k',
            gen_random_uuid(), '', now(), now()) returning id
)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select id, null, 'created', 'test', now() from added
"""
_ADD_WITH_A_HISTORY = """
with added as (
    insert into payments.payments (id, version, state, merchant_id, amount, currency,
           idempotency_key, request_id, request, created_at, updated_at)
    values ('01980000-0000-7000-8000-000000000001', 1, 'authorized', gen_random_uuid(), 1, 'USD',
            'k', gen_random_uuid(), '', now(), now()) returning id
)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select id, from_state, to_state, 'test', now()
  from added, (values (null, 'created'), ('created', 'confirming'), ('confirming', 'authorized'))
              as history (from_state, to_state)
"""
_GIVE_BACK = """
insert into payments.attempts (id, payment_id, step_id, number, operation, processor_id, amount,
       processor_reference, idempotency_key, key_expires_at, created_at, state, late)
select gen_random_uuid(), payment_id, step_id, $1, $2, processor_id, amount, 'pi_1',
       gen_random_uuid()::text, now(), now(), 'open', true
  from payments.attempts where number = 1
"""


@pytest.fixture(params=["application", "owner"])
async def connection(
    request: pytest.FixtureRequest, database_urls: DatabaseUrls
) -> AsyncIterator[Connection]:
    """The application, and an owner who is careless rather than hostile."""
    url = database_urls.application if request.param == "application" else database_urls.owner
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def test_the_domain_and_the_database_allow_the_same_moves(connection: Connection) -> None:
    rows = await connection.fetch("select from_state, to_state from payments.allowed_moves")
    assert {(row["from_state"], row["to_state"]) for row in rows} == {
        (before, after) for before, allowed in ALLOWED_MOVES.items() for after in allowed
    }


@pytest.mark.parametrize(
    "state", [state for state in PaymentState if state not in ("captured", "refunded", "disputed")]
)
async def test_a_captured_payment_goes_nowhere_but_to_refunded_or_disputed(
    house: House, connection: Connection, state: PaymentState
) -> None:
    await house.execute(execution())
    for statement, values in ((_MOVE, (state, "captured")), (_MOVE_UNTOLD, (state,))):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await connection.execute(statement, *values)
    assert await connection.fetchval("select state from payments.payments") == "captured"


async def test_a_legal_move_is_refused_when_nothing_tells_why(
    house: House, connection: Connection
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.CheckViolationError, match="no transition tells why"):
        await connection.execute(_MOVE_UNTOLD, "refunded")
    await connection.execute(_MOVE, "refunded", "captured")


@pytest.mark.parametrize("state", ["authorized", "captured", "confirming"])
async def test_a_payment_begins_at_its_beginning(connection: Connection, state: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(_ADD, state)
    await connection.execute(_ADD, "created")


async def test_not_even_a_whole_history_lets_a_payment_begin_later(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="begins as created or confirming"):
        await connection.execute(_ADD_WITH_A_HISTORY)


@pytest.mark.parametrize(
    "statement",
    [
        "update payments.transitions set cause = 'another'",
        "delete from payments.transitions",
        "truncate payments.transitions",
        "update payments.plans set digest = ''",
        "delete from payments.plans",
        "delete from payments.payments",
        "delete from payments.attempts",
        "delete from payments.steps",
        "delete from payments.postings",
        "delete from payments.refunds",
        "delete from payments.refund_parts",
        "delete from payments.disputes",
        "delete from payments.applied_events",
        "update payments.posting_retries set operator = 'another'",
        "delete from payments.posting_retries",
        "update payments.retried_postings set try_count = 0",
        "delete from payments.retried_postings",
        "delete from payments.idempotency",
        "truncate payments.payments",
        "update payments.allowed_moves set to_state = 'failed'",
        "delete from payments.allowed_moves",
    ],
)
async def test_what_happened_is_only_ever_added_to(
    house: House, connection: Connection, statement: str
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


@pytest.mark.parametrize("operation", ["authorize", "capture", "void"])
async def test_a_step_has_one_open_attempt(
    scripted: ScriptedHouse, connection: Connection, operation: str
) -> None:
    scripted.processors.script(Operation.OPERATION_AUTHORIZE, unknown())
    scripted.processors.script(Operation.OPERATION_LOOKUP, *[unknown()] * 4)
    await scripted.house.execute(execution())
    with pytest.raises(asyncpg.UniqueViolationError, match="attempts_one_open_a_step"):
        await connection.execute(
            """insert into payments.attempts (id, payment_id, step_id, number, operation,
                      processor_id, amount, processor_reference, idempotency_key, key_expires_at,
                      created_at, state)
               select gen_random_uuid(), payment_id, step_id, 2, $1, 'backup', amount, 'pi_2',
                      'another', now(), now(), 'open'
                 from payments.attempts""",
            operation,
        )


@pytest.mark.parametrize(
    "change",
    [
        "refunded = captured + 1",
        "refund_reserved = captured, disputed = 1",
        "refunded = captured, refund_reserved = 1",
        "refunded = 9223372036854775807, disputed = 9223372036854775807",
    ],
)
async def test_no_more_goes_back_than_was_captured(
    house: House, connection: Connection, change: str
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.CheckViolationError, match="steps_headroom"):
        await connection.execute(f"update payments.steps set {change}")
    await connection.execute("update payments.steps set disputed = captured + 1, excess = 1")


async def test_the_fee_that_goes_back_is_at_most_the_fee(
    house: House, connection: Connection
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.CheckViolationError, match="steps_fee_returned"):
        await connection.execute("update payments.steps set fee_returned = platform_fee + 1")


async def test_the_fee_is_at_most_what_was_captured(house: House, connection: Connection) -> None:
    await house.execute(execution())
    await connection.execute("update payments.steps set platform_fee = captured")
    with pytest.raises(asyncpg.CheckViolationError, match="steps_platform_fee"):
        await connection.execute("update payments.steps set platform_fee = captured + 1")


async def test_an_attempt_keeps_a_bounded_number_of_records(
    house: House, connection: Connection
) -> None:
    await house.execute(execution())
    with pytest.raises(asyncpg.CheckViolationError, match="attempts_records"):
        await connection.execute(
            "update payments.attempts set records = array_fill(''::bytea, '{9}')"
        )


async def test_what_came_late_is_released_once_and_returned_once(
    house: House, connection: Connection
) -> None:
    await house.execute(execution())
    await connection.execute(_GIVE_BACK, 11, "void")
    await connection.execute(_GIVE_BACK, 12, "refund")
    for operation in ("void", "refund"):
        with pytest.raises(asyncpg.UniqueViolationError, match="attempts_one_giving_back"):
            await connection.execute(_GIVE_BACK, 13, operation)


async def test_a_payment_may_have_more_attempts_than_a_small_number_counts(
    house: House, connection: Connection
) -> None:
    await house.execute(execution())
    numbered = await connection.fetch(
        """insert into payments.attempts (id, payment_id, step_id, number, operation, processor_id,
                  amount, processor_reference, idempotency_key, key_expires_at, created_at, state)
           select gen_random_uuid(), payment_id, step_id, 100000, 'refund', processor_id, amount,
                  'pi_1', 'another', now(), now(), 'open'
             from payments.attempts where number = 1
           returning number"""
    )
    assert [row["number"] for row in numbered] == [100_000]


async def test_what_has_ended_ends_once(house: House, connection: Connection) -> None:
    payment = await house.execute(execution())
    await house.stub.RefundPayment(RefundPaymentRequest(**about(payment, "refund-1")))
    for table in ("attempts", "refunds", "refund_parts"):
        with pytest.raises(asyncpg.CheckViolationError, match="ends once"):
            await connection.execute(f"update payments.{table} set state = 'failed'")


async def test_a_part_of_a_refund_has_one_attempt(house: House, connection: Connection) -> None:
    payment = await house.execute(execution())
    await house.stub.RefundPayment(RefundPaymentRequest(**about(payment, "refund-1")))
    with pytest.raises(asyncpg.UniqueViolationError, match="attempts_one_a_part"):
        await connection.execute(
            """
            insert into payments.attempts (id, payment_id, step_id, number, operation, processor_id,
                   amount, processor_reference, idempotency_key, key_expires_at, state, created_at,
                   part_id)
            select gen_random_uuid(), payment_id, step_id, 99, operation, processor_id, amount,
                   processor_reference, 'another', now(), 'open', now(), part_id
              from payments.attempts where part_id is not null
            """
        )


async def test_an_answer_never_changes(house: House, connection: Connection) -> None:
    await house.execute(execution())
    for change in ("answer = 'another'", "answer = null, answered_at = null"):
        with pytest.raises(asyncpg.CheckViolationError, match="never changes"):
            await connection.execute(f"update payments.idempotency set {change}")


async def test_the_guards_hold_for_who_silences_ordinary_triggers(
    house: House, owner_url: str
) -> None:
    await house.execute(execution())
    superuser = await asyncpg.connect(owner_url, user="postgres")
    await superuser.execute("set session_replication_role = replica")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await superuser.execute(_MOVE, "created", "captured")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await superuser.execute("delete from payments.transitions")
    await superuser.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update payments.payments set amount = 1",
        "update payments.payments set merchant_id = gen_random_uuid()",
        "update payments.attempts set idempotency_key = 'another'",
        "update payments.postings set entries = '[]'",
        "update payments.idempotency set fingerprint = sha256('another')",
        "insert into payments.allowed_moves values ('failed', 'captured')",
        "alter table payments.payments disable trigger all",
    ],
)
async def test_the_application_changes_only_what_may_change(
    application_url: str, statement: str
) -> None:
    application = await asyncpg.connect(application_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(statement)
    await application.close()
