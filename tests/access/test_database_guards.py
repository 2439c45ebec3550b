"""What the database refuses, whoever asks: a key never comes back and nothing is removed."""

import asyncpg
import pytest

from tests.access.conftest import AccessUnderTest
from tests.access.requests import new_key, new_merchant, revoke, rotate_request


@pytest.fixture
async def keys(access: AccessUnderTest) -> None:
    """One key revoked, one replaced, one active."""
    merchant_id = await new_merchant(access.stub)
    revoked, replaced, _ = [await new_key(access.stub, merchant_id) for _ in range(3)]
    await revoke(access.stub, revoked.api_key.id)
    await access.stub.RotateApiKey(rotate_request(replaced.api_key.id))


_REFUSED = [
    "update access.api_keys set revoked_at = null where revoked_at is not null",
    "update access.api_keys set revoked_at = now() + '1 day' where revoked_at is not null",
    "update access.api_keys set replaced_at = null where replaced_at is not null",
    "update access.api_keys set expires_at = null where expires_at is not null",
    "update access.api_keys set expires_at = expires_at + '1 s' where expires_at is not null",
    "update access.api_keys set scopes = '{admin}'",
    "update access.api_keys set role = 'admin', merchant_id = null",
    "update access.api_keys set digest = sha256('mine')",
    "delete from access.api_keys",
    "delete from access.merchants",
    "truncate access.api_keys cascade",
    "truncate access.merchants cascade",
]


@pytest.mark.parametrize("login", ["application", "owner"])
@pytest.mark.parametrize("statement", _REFUSED)
async def test_the_database_restores_and_removes_nothing(
    keys: None, application_url: str, owner_url: str, login: str, statement: str
) -> None:
    connection = await asyncpg.connect(owner_url if login == "owner" else application_url)
    before = await connection.fetch("select * from access.api_keys order by id")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    assert await connection.fetch("select * from access.api_keys order by id") == before
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update access.calls set said = '{}'",
        "delete from access.calls",
        "delete from access.key_uses",
        "update access.pepper_marks set mark = sha256('mine')",
        "update access.api_keys set written_in = '1'",
        "update access.merchants set created_at = now()",
        "insert into access.api_keys (revoked_at) values (now())",
    ],
)
async def test_the_application_may_do_no_more_than_it_does(
    keys: None, application_url: str, statement: str
) -> None:
    connection = await asyncpg.connect(application_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update access.merchants set version = version + 2",
        "update access.merchants set name = 'unversioned'",
        "insert into access.pepper_marks (mark) values (sha256('other'))",
        """insert into access.api_keys (id, name, hint, role, scopes, digest, created_at)
           values (uuidv7(), 'n', 'h', 'merchant', '{payments:read}', sha256('x'), now())""",
        """insert into access.api_keys (id, name, hint, role, scopes, digest, created_at)
           values (uuidv7(), 'n', 'h', 'admin', '{}', sha256('x'), now())""",
        """insert into access.api_keys (id, name, hint, role, scopes, digest, created_at)
           values (uuidv7(), 'n', 'h', 'admin', '{admin}', 'a key in plain', now())""",
    ],
)
async def test_the_database_keeps_rows_whole(
    keys: None, application_url: str, statement: str
) -> None:
    connection = await asyncpg.connect(application_url)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(statement)
    await connection.close()
