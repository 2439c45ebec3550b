"""Who a caller is: every refusal has its cause, and no trouble is taken for a wrong key."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
import structlog
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub

from services.access.domain.secret import new_secret
from services.kernel.clock import ManualClock
from services.kernel.errors import Unavailable
from services.runtime.rpc import typed_errors
from services.runtime.telemetry import configure_logging
from tests.access.conftest import PEPPER, AccessUnderTest, over_the_network, running_access
from tests.access.keys import NOW
from tests.access.requests import (
    key_request,
    new_key,
    new_merchant,
    refusal_of,
    revoke,
    until_refused,
    who,
)


async def _refuse_by_cause(access: AccessUnderTest, stub: AccessServiceStub) -> dict[str, str]:
    merchant_id = await new_merchant(access.stub)
    revoked = await new_key(access.stub, merchant_id)
    await revoke(access.stub, revoked.api_key.id)
    secrets = {
        "malformed": ("", "syk_", "sk_test_1234", new_secret()[:-1], new_secret() + "0", "é" * 53),
        "unknown": (new_secret(),),
        "revoked": (revoked.secret_value,),
    }
    messages = {}
    for cause, shown in secrets.items():
        for secret in shown:
            refusal = await refusal_of(stub, secret)
            assert refusal.details["cause"] == cause
            assert len(secret) < 10 or secret not in str(refusal)
            messages[cause] = refusal.message
    return messages


async def test_every_refusal_tells_its_cause_on_both_channels(access: AccessUnderTest) -> None:
    in_process = await _refuse_by_cause(access, access.stub)
    async with over_the_network(access) as network:
        over_network = await _refuse_by_cause(access, network)
    assert in_process.keys() == over_network.keys()
    for cause in ("malformed", "unknown"):
        assert in_process[cause] == over_network[cause]


async def test_a_key_is_taken_until_the_moment_it_expires(application_url: str) -> None:
    clock = ManualClock(NOW)
    async with running_access(application_url, clock=clock) as access:
        request = key_request(await new_merchant(access.stub))
        request.expires_at.FromDatetime(NOW + timedelta(hours=1))
        made = await access.stub.CreateApiKey(request)
        clock.advance(timedelta(hours=1) - timedelta(milliseconds=100))
        shown = pb.AuthenticateRequest(secret_value=made.secret_value)
        last = await access.stub.Authenticate(shown)
        # A caller must not believe it longer than it is true.
        assert last.cache_for.ToTimedelta() == timedelta(milliseconds=100)
        clock.advance(timedelta(milliseconds=100))
        refusal = await refusal_of(access.stub, made.secret_value)
    assert refusal.details["cause"] == "expired"
    assert refusal.details["api_key_id"] == made.api_key.id


async def test_with_another_pepper_no_key_is_known(
    access: AccessUnderTest, application_url: str
) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    other = type(PEPPER)(b"another installation's pepper")
    async with running_access(application_url, pepper=other) as elsewhere:
        assert (await refusal_of(elsewhere.stub, made.secret_value)).details["cause"] == "unknown"


async def test_a_database_that_is_away_is_not_taken_for_a_wrong_key(
    access: AccessUnderTest, owner_url: str
) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    async with _refusing_connections(owner_url):
        with pytest.raises(Unavailable):
            await until_refused(access.stub, made.secret_value)
    assert (await who(access.stub, made.secret_value)).api_key_id == made.api_key.id


async def test_a_connection_cut_while_a_key_is_looked_up_is_not_taken_for_a_wrong_key(
    access: AccessUnderTest, owner_url: str
) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    superuser = await asyncpg.connect(owner_url, user="postgres")
    async with superuser.transaction():
        await superuser.execute("lock table access.api_keys in access exclusive mode")
        looking = asyncio.create_task(who(access.stub, made.secret_value))
        waiting = "pid in (select pid from pg_locks where not granted and relation is not null)"
        cut = f"""select count(pg_terminate_backend(pid)) from pg_stat_activity
                   where {waiting} and query like '%k.digest = $1%'"""
        async with asyncio.timeout(30):
            while not await superuser.fetchval(cut):  # noqa: ASYNC110 -- a lock has no event
                await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await looking
    await superuser.close()


@asynccontextmanager
async def _refusing_connections(owner_url: str) -> AsyncIterator[None]:
    name = owner_url.split("@/")[1].split("?", maxsplit=1)[0]
    door = owner_url.replace(f"/{name}", "/switchyard")
    superuser = await asyncpg.connect(door, user="postgres")
    await superuser.execute(f"alter database {name} allow_connections false")
    await superuser.execute(
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    )
    yield
    await superuser.execute(f"alter database {name} allow_connections true")
    await superuser.close()


async def test_no_log_line_shows_a_key(access: AccessUnderTest) -> None:
    lines = io.StringIO()
    configure_logging("test", level="debug", stream=lines)
    try:
        made = await new_key(access.stub, await new_merchant(access.stub))
        await who(access.stub, made.secret_value)
        await refusal_of(access.stub, made.secret_value[:-1])
        await refusal_of(access.stub, new_secret())
        # Put where ids go, and told by whoever handles a key carelessly.
        misplaced = key_request(made.secret_value)
        with pytest.raises(Exception, match="the id of a merchant"), typed_errors():
            await access.stub.CreateApiKey(misplaced)
        structlog.get_logger().info("careless", shown=made.secret_value)
    finally:
        structlog.reset_defaults()
    text = lines.getvalue()
    assert "careless" in text
    assert made.secret_value[4:30] not in text


async def test_a_cached_answer_costs_little(access: AccessUnderTest) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    await access.authenticator.authenticate(made.secret_value)
    best_us = min([await _cost_us(access, made.secret_value) for _ in range(20)])
    assert best_us < 50


async def _cost_us(access: AccessUnderTest, secret: str) -> float:
    began = time.perf_counter()
    for _ in range(200):
        await access.authenticator.authenticate(secret)
    return (time.perf_counter() - began) / 200 * 1e6
