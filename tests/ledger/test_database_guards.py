"""The database alone refuses what breaks the ledger, whoever sends the SQL."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from services.ledger.domain.transaction import MAX_LEG_MINOR
from services.runtime.database import Connection

_POST = """
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count)
    values ($1::uuid, 'pay_1', $2, sha256('body'), $3) returning id
)
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select header.id, leg.* from header,
       unnest($4::integer[], $5::text[], $6::bigint[], $7::text[]) as leg
"""
_ADD_LEGS = """
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select $1::uuid, leg.*
  from unnest($2::integer[], $3::text[], $4::bigint[], $5::text[]) as leg
"""
_FIRST = "01980000-0000-7000-8000-000000000001"
_SECOND = "01980000-0000-7000-8000-000000000002"


async def _post(  # noqa: PLR0917 -- a row of a table of cases
    connection: Connection,
    amounts: Sequence[int],
    currencies: Sequence[str] | None = None,
    leg_count: int | None = None,
    legs: Sequence[int] | None = None,
    transaction_id: str = _FIRST,
) -> None:
    await connection.execute(
        _POST,
        transaction_id,
        f"key {transaction_id}",
        len(amounts) if leg_count is None else leg_count,
        legs or range(1, len(amounts) + 1),
        [f"account:{number}" for number in range(len(amounts))],
        amounts,
        currencies or ["USD"] * len(amounts),
    )


@pytest.fixture(params=["application", "owner"])
async def connection(
    request: pytest.FixtureRequest, owner_url: str, application_url: str
) -> AsyncIterator[Connection]:
    """The application, and an owner who is careless rather than hostile."""
    url = application_url if request.param == "application" else owner_url
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def test_a_balanced_transaction_is_accepted(connection: Connection) -> None:
    await _post(connection, [-1000, 970, 30])
    assert await connection.fetchval("select count(*) from ledger.ledger_entries") == 3


async def test_a_balance_in_each_of_two_currencies_is_accepted(connection: Connection) -> None:
    await _post(connection, [-5, 5, -7, 7], ["USD", "USD", "EUR", "EUR"])


@pytest.mark.parametrize(
    ("amounts", "currencies", "complaint"),
    [
        ([-1000, 970], None, "does not balance"),
        ([5, -5], ["USD", "EUR"], "does not balance"),
        ([5, -5, 7, -6], ["USD", "USD", "EUR", "EUR"], "does not balance"),
    ],
)
async def test_an_unbalanced_transaction_is_refused(
    connection: Connection,
    amounts: Sequence[int],
    currencies: Sequence[str] | None,
    complaint: str,
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=complaint):
        await _post(connection, amounts, currencies)
    assert await connection.fetchval("select count(*) from ledger.ledger_transactions") == 0


async def test_a_zero_amount_is_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="amount"):
        await _post(connection, [5, -5, 0])


async def test_the_largest_leg_is_accepted_either_way(connection: Connection) -> None:
    await _post(connection, [MAX_LEG_MINOR, -MAX_LEG_MINOR])


@pytest.mark.parametrize("beyond", [MAX_LEG_MINOR + 1, -MAX_LEG_MINOR - 1, 2**63 - 1])
async def test_a_leg_beyond_the_largest_is_refused(connection: Connection, beyond: int) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="amount_bounded"):
        await _post(connection, [beyond, -beyond])


async def test_a_currency_in_lower_case_is_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="currency"):
        await _post(connection, [5, -5], ["usd", "usd"])


@pytest.mark.parametrize(
    ("leg_count", "legs"), [(3, [1, 2]), (2, [1, 3]), (2, [2, 3]), (1, [1, 2]), (10_001, [1, 2])]
)
async def test_legs_other_than_the_header_counts_are_refused(
    connection: Connection, leg_count: int, legs: Sequence[int]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await _post(connection, [5, -5], leg_count=leg_count, legs=legs)


async def test_a_header_without_entries_is_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="has no entries"):
        await connection.execute(
            """insert into ledger.ledger_transactions
                      (id, reference_id, idempotency_key, fingerprint, leg_count)
               values ($1::uuid, 'pay_1', 'empty', sha256('body'), 2)""",
            _FIRST,
        )


async def test_entries_without_a_header_are_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="no header"):
        await connection.execute(_ADD_LEGS, _SECOND, [1, 2], ["a", "b"], [1, -1], ["USD"] * 2)


@pytest.mark.parametrize("legs", [[1, 2], [3, 4]])
@pytest.mark.parametrize("same_transaction", [True, False])
async def test_a_leg_that_comes_later_is_refused_even_where_it_balances(
    connection: Connection, legs: Sequence[int], same_transaction: bool
) -> None:
    block = connection.transaction()
    if same_transaction:
        await block.start()
    await _post(connection, [-1000, 1000])
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(_ADD_LEGS, _FIRST, legs, ["a", "b"], [7, -7], ["USD"] * 2)
    if same_transaction:
        await block.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger.ledger_entries set amount = amount",
        "update ledger.ledger_transactions set reference_id = 'other'",
        "update ledger.blocks set number = 2",
        "delete from ledger.ledger_entries",
        "delete from ledger.ledger_transactions",
        "delete from ledger.blocks",
        "delete from ledger.epochs",
        "truncate ledger.ledger_entries",
        "truncate ledger.ledger_transactions, ledger.ledger_entries, ledger.blocks",
    ],
)
async def test_nothing_is_changed_or_removed(connection: Connection, statement: str) -> None:
    await _post(connection, [-1000, 1000])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    assert await connection.fetchval("select sum(abs(amount)) from ledger.ledger_entries") == 2000


async def test_a_key_is_taken_once(connection: Connection) -> None:
    await _post(connection, [-1, 1])
    with pytest.raises(asyncpg.UniqueViolationError):
        await _post(connection, [-1, 1])


async def test_the_guards_hold_for_who_silences_ordinary_triggers(
    owner_url: str,
) -> None:
    superuser = await asyncpg.connect(owner_url, user="postgres")
    await superuser.execute("set session_replication_role = replica")
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await _post(superuser, [-1000, 970])
    await _post(superuser, [-1000, 1000])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await superuser.execute("delete from ledger.ledger_entries")
    await superuser.close()


@pytest.mark.parametrize(
    "statement",
    [
        """insert into ledger.ledger_transactions
                  (id, reference_id, idempotency_key, fingerprint, leg_count, created_at)
           values (gen_random_uuid(), 'r', 'k', sha256('b'), 2, now() - interval '1 year')""",
        """insert into ledger.ledger_transactions
                  (id, reference_id, idempotency_key, fingerprint, leg_count, written_in)
           values (gen_random_uuid(), 'r', 'k', sha256('b'), 2, '1')""",
        "insert into ledger.epochs (epoch, system_identifier) values (9, 9)",
        "alter table ledger.ledger_entries disable trigger all",
        "drop table ledger.ledger_entries",
        "set role switchyard_owner",
    ],
)
async def test_the_application_can_neither_backdate_nor_disarm(
    application_url: str, statement: str
) -> None:
    application = await asyncpg.connect(application_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(statement)
    await application.close()
