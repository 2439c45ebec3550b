"""When a key was last used is told, and costs no write a request."""

from datetime import timedelta

import asyncpg
from payments.access.v1 import access_service_pb2 as pb

from services.kernel.ids import ApiKeyId
from tests.access.conftest import AccessUnderTest, running_access
from tests.access.keys import NOW
from tests.access.requests import new_key, new_merchant, who


async def test_uses_are_noted_without_a_write_a_request(
    access: AccessUnderTest, owner_url: str
) -> None:
    merchant_id = await new_merchant(access.stub)
    first, second = [await new_key(access.stub, merchant_id) for _ in range(2)]
    owner = await asyncpg.connect(owner_url)
    for _ in range(100):
        await who(access.stub, first.secret_value)
    assert await owner.fetchval("select count(*) from access.key_uses") == 0
    await access.authenticator.note_uses()
    assert await owner.fetchval("select count(*) from access.key_uses") == 1
    listed = (await access.stub.ListApiKeys(pb.ListApiKeysRequest())).api_keys
    told = {key.id: key.HasField("last_used_at") for key in listed}
    assert told == {first.api_key.id: True, second.api_key.id: False}
    await owner.close()


async def test_uses_are_noted_when_the_process_stops(
    access: AccessUnderTest, application_url: str, owner_url: str
) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    async with running_access(application_url) as elsewhere:
        await who(elsewhere.stub, made.secret_value)
    owner = await asyncpg.connect(owner_url)
    assert await owner.fetchval("select count(*) from access.key_uses") == 1
    await owner.close()


async def test_a_use_is_never_noted_backwards(access: AccessUnderTest) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    key_id = ApiKeyId(made.api_key.id)
    credentials = access.authenticator._credentials
    for moment in (NOW, NOW - timedelta(minutes=1)):
        await credentials.note_uses({key_id: moment})
    listed = (await access.stub.ListApiKeys(pb.ListApiKeysRequest())).api_keys
    assert listed[0].last_used_at.ToSeconds() == NOW.timestamp()
