"""Keys are replaced without a gap, withdrawn for good, and end by themselves."""

import asyncio
from datetime import UTC, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode
from grpc.aio import AioRpcError
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.api_key_pb2 import API_KEY_STATE_REVOKED, API_KEY_STATE_ROTATED

from services.access.domain.key import KeyState
from services.kernel.clock import ManualClock
from services.kernel.errors import FailedPrecondition, InvalidArgument, NotFound, SwitchyardError
from services.kernel.ids import ApiKeyId
from services.runtime.rpc import typed_errors
from tests.access.conftest import AccessUnderTest, running_access
from tests.access.keys import NOW
from tests.access.requests import (
    key_request,
    new_key,
    new_merchant,
    revoke,
    rotate_request,
    timestamp,
    who,
)


async def test_a_merchant_can_neither_rotate_nor_revoke_anothers_key(
    access: AccessUnderTest,
) -> None:
    mine, theirs = await new_merchant(access.stub), await new_merchant(access.stub)
    made = await new_key(access.stub, theirs)
    nobodys = ApiKeyId.new()
    refusals = []
    for key_id in (made.api_key.id, nobodys):
        for attempt in (
            access.stub.RotateApiKey(rotate_request(key_id, merchant_id=mine)),
            revoke(access.stub, key_id, mine),
        ):
            with pytest.raises(NotFound) as refusal, typed_errors():
                await attempt
            refusals.append(refusal.value.message.replace(key_id, "it"))
    assert len(set(refusals)) == 1
    assert (await who(access.stub, made.secret_value)).merchant_id == theirs
    listed = await access.stub.ListApiKeys(pb.ListApiKeysRequest(merchant_id=mine))
    assert not listed.api_keys


async def test_rotation_leaves_no_gap_and_ends_by_itself(application_url: str) -> None:
    clock = ManualClock(NOW)
    async with running_access(application_url, clock=clock) as access:
        merchant_id = await new_merchant(access.stub)
        old = await new_key(access.stub, merchant_id)
        request = rotate_request(old.api_key.id, merchant_id=merchant_id)
        request.overlap.FromTimedelta(timedelta(hours=2))
        made = await access.stub.RotateApiKey(request)
        assert made.replaced.state == API_KEY_STATE_ROTATED
        assert made.api_key.replaces_id == old.api_key.id
        for _ in range(2):
            for secret in (old.secret_value, made.secret_value):
                assert (await who(access.stub, secret)).merchant_id == merchant_id
            clock.advance(timedelta(hours=1, minutes=59))
        clock.advance(timedelta(minutes=1))
        with pytest.raises(SwitchyardError) as refusal:
            await who(access.stub, old.secret_value)
        assert refusal.value.details["cause"] == "expired"
        assert (await who(access.stub, made.secret_value)).api_key_id == made.api_key.id


async def test_a_key_with_a_lifetime_is_replaced_by_one_with_the_same(
    application_url: str,
) -> None:
    clock = ManualClock(NOW)
    async with running_access(application_url, clock=clock) as access:
        merchant_id = await new_merchant(access.stub)
        end = NOW + timedelta(days=90)
        old = await access.stub.CreateApiKey(
            key_request(merchant_id, scopes=("payments:read",), expires_at=timestamp(end))
        )
        clock.advance(timedelta(days=89, hours=12))
        made = await access.stub.RotateApiKey(rotate_request(old.api_key.id))
    # The day of overlap does not prolong what would have ended in half a day.
    assert made.replaced.expires_at.ToDatetime(UTC) == end
    assert made.api_key.expires_at.ToDatetime(UTC) == clock.now() + timedelta(days=90)
    assert (made.api_key.name, list(made.api_key.scopes)) == ("shop", ["payments:read"])


async def test_a_repeated_rotation_shows_no_secret(access: AccessUnderTest) -> None:
    old = await new_key(access.stub, await new_merchant(access.stub))
    request = rotate_request(old.api_key.id, key="r")
    made = await access.stub.RotateApiKey(request)
    again = await access.stub.RotateApiKey(request)
    assert again.replayed
    assert again.secret_value == ""
    assert (again.api_key, again.replaced) == (made.api_key, made.replaced)


async def test_of_fifty_rotations_of_one_key_one_gets_through(access: AccessUnderTest) -> None:
    old = await new_key(access.stub, await new_merchant(access.stub))
    outcomes = await asyncio.gather(
        *(access.stub.RotateApiKey(rotate_request(old.api_key.id)) for _ in range(50)),
        return_exceptions=True,
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, AioRpcError)]
    assert {refusal.code() for refusal in refusals} == {StatusCode.FAILED_PRECONDITION}
    assert len(refusals) == 49
    assert len((await access.stub.ListApiKeys(pb.ListApiKeysRequest())).api_keys) == 2


async def test_a_key_that_is_no_longer_active_is_not_replaced(access: AccessUnderTest) -> None:
    revoked = await new_key(access.stub, "")
    await revoke(access.stub, revoked.api_key.id)
    with pytest.raises(FailedPrecondition) as refusal, typed_errors():
        await access.stub.RotateApiKey(rotate_request(revoked.api_key.id))
    assert refusal.value.details["state"] == KeyState.REVOKED


@pytest.mark.parametrize("seconds", [-1, 31 * 86400, 2**62])
async def test_an_overlap_out_of_range_is_refused(access: AccessUnderTest, seconds: int) -> None:
    made = await new_key(access.stub, "")
    request = rotate_request(made.api_key.id)
    request.overlap.CopyFrom(Duration(seconds=seconds))
    with pytest.raises(InvalidArgument), typed_errors():
        await access.stub.RotateApiKey(request)


async def test_revoking_again_keeps_when_it_was_revoked_first(access: AccessUnderTest) -> None:
    made = await new_key(access.stub, "")
    request = pb.RevokeApiKeyRequest(idempotency_key="r", api_key_id=made.api_key.id)
    first = await access.stub.RevokeApiKey(request)
    assert first.api_key.state == API_KEY_STATE_REVOKED
    again = await access.stub.RevokeApiKey(request)
    assert (again.replayed, again.api_key) == (True, first.api_key)
    request.idempotency_key = "r2"
    anew = await access.stub.RevokeApiKey(request)
    assert (anew.replayed, anew.api_key) == (False, first.api_key)
