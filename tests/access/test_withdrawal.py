"""No process believes for more than a second what is no longer so."""

import asyncio
import time
from datetime import timedelta

import asyncpg
import pytest
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.merchant_pb2 import MERCHANT_STATE_ACTIVE, MERCHANT_STATE_SUSPENDED

from services.access.service.authentication import _LOOK_BELIEVED_SECONDS, CALLERS_MAY_CACHE
from services.kernel.errors import Unauthenticated
from tests.access.conftest import AccessUnderTest, over_the_network, running_access
from tests.access.requests import (
    new_key,
    new_merchant,
    refusal_of,
    revoke,
    rotate_request,
    until_refused,
    who,
)

_WITHIN_SECONDS = 1.0


async def _seconds_until_revoked(stub: AccessServiceStub, secret: str) -> float:
    """How long a key is still taken."""
    began = time.monotonic()
    with pytest.raises(Unauthenticated):
        await until_refused(stub, secret)
    return time.monotonic() - began


async def _looked_twice(access: AccessUnderTest) -> None:
    """Let the feed go past all that was written until now, so that it tells of none of it again."""
    for _ in range(2):
        before = access.authenticator._looked_at_seconds
        async with asyncio.timeout(30):
            while access.authenticator._looked_at_seconds == before:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)


async def test_another_process_hears_of_a_revocation_within_a_second(
    access: AccessUnderTest, application_url: str
) -> None:
    async with running_access(application_url) as elsewhere, over_the_network(elsewhere) as stub:
        for _ in range(5):
            made = await new_key(access.stub, await new_merchant(access.stub))
            await _looked_twice(elsewhere)
            await who(stub, made.secret_value)
            await revoke(access.stub, made.api_key.id)
            seconds = await _seconds_until_revoked(stub, made.secret_value)
            assert seconds < _WITHIN_SECONDS


async def test_a_revocation_is_seen_even_where_its_notification_is_lost(
    access: AccessUnderTest, application_url: str, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("alter table access.api_keys disable trigger announce")
    made = await new_key(access.stub, await new_merchant(access.stub))
    async with running_access(application_url) as elsewhere:
        await _looked_twice(elsewhere)
        await who(elsewhere.stub, made.secret_value)
        await revoke(access.stub, made.api_key.id)
        seconds = await _seconds_until_revoked(elsewhere.stub, made.secret_value)
    assert seconds < _WITHIN_SECONDS
    await owner.close()


async def test_the_process_that_revokes_refuses_at_once(access: AccessUnderTest) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    await who(access.stub, made.secret_value)
    await revoke(access.stub, made.api_key.id)
    assert (await refusal_of(access.stub, made.secret_value)).details["cause"] == "revoked"


async def test_a_rotation_without_overlap_ends_the_old_key_everywhere(
    access: AccessUnderTest, application_url: str
) -> None:
    old = await new_key(access.stub, await new_merchant(access.stub))
    async with running_access(application_url) as elsewhere:
        await who(elsewhere.stub, old.secret_value)
        request = rotate_request(old.api_key.id)
        request.overlap.FromTimedelta(timedelta(0))
        made = await access.stub.RotateApiKey(request)
        await who(elsewhere.stub, made.secret_value)
        await refusal_of(access.stub, old.secret_value)
        seconds = await _seconds_until_revoked(elsewhere.stub, old.secret_value)
    assert seconds < _WITHIN_SECONDS


async def test_no_request_of_a_client_is_refused_while_its_key_is_rotated(
    access: AccessUnderTest, application_url: str
) -> None:
    secret = (await new_key(access.stub, await new_merchant(access.stub))).secret_value
    taken = 0
    stop = asyncio.Event()
    current = [secret]

    async def client(stub: AccessServiceStub) -> None:
        nonlocal taken
        while not stop.is_set():
            await who(stub, current[0])
            taken += 1
            await asyncio.sleep(0)

    async with running_access(application_url) as elsewhere:
        clients = [asyncio.create_task(client(a.stub)) for a in (access, elsewhere)]
        key_id = (await who(access.stub, secret)).api_key_id
        for _ in range(5):
            made = await access.stub.RotateApiKey(rotate_request(key_id))
            key_id, current[0] = made.api_key.id, made.secret_value
            await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*clients)
    assert taken > 20


async def test_a_suspended_merchant_is_known_as_such_in_every_process(
    access: AccessUnderTest, application_url: str
) -> None:
    merchant_id = await new_merchant(access.stub)
    made = await new_key(access.stub, merchant_id)
    async with running_access(application_url) as elsewhere:
        stubs = (access.stub, elsewhere.stub)
        for version, state in ((1, MERCHANT_STATE_SUSPENDED), (2, MERCHANT_STATE_ACTIVE)):
            await _looked_twice(elsewhere)
            for stub in stubs:
                await who(stub, made.secret_value)
            change = pb.UpdateMerchantRequest(
                idempotency_key=f"u{version}",
                merchant_id=merchant_id,
                expected_version=version,
                state=state,
            )
            await access.stub.UpdateMerchant(change)
            wanted = state == MERCHANT_STATE_ACTIVE
            assert (await who(access.stub, made.secret_value)).merchant_active == wanted
            changed_at = time.monotonic()
            while (await who(elsewhere.stub, made.secret_value)).merchant_active != wanted:
                assert time.monotonic() - changed_at < _WITHIN_SECONDS
                await asyncio.sleep(0.01)


def test_whatever_fails_nobody_believes_a_key_for_more_than_a_second() -> None:
    assert _LOOK_BELIEVED_SECONDS + CALLERS_MAY_CACHE.total_seconds() < _WITHIN_SECONDS


async def test_a_feed_whose_connection_is_cut_listens_again(
    access: AccessUnderTest, application_url: str, owner_url: str
) -> None:
    superuser = await asyncpg.connect(owner_url, user="postgres")
    async with running_access(application_url) as elsewhere:
        made = await new_key(access.stub, await new_merchant(access.stub))
        await who(elsewhere.stub, made.secret_value)
        await superuser.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'access feed' and datname = current_database()"""
        )
        await revoke(access.stub, made.api_key.id)
        seconds = await _seconds_until_revoked(elsewhere.stub, made.secret_value)
        assert seconds < _WITHIN_SECONDS
        other = await new_key(access.stub, await new_merchant(access.stub))
        await who(elsewhere.stub, other.secret_value)
    await superuser.close()
