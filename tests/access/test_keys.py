"""Keys: shown once, kept as digests, replaced, withdrawn, listed; each merchant's its own."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from grpc.aio import AioRpcError
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.api_key_pb2 import (
    API_KEY_STATE_ACTIVE,
    API_KEY_STATE_EXPIRED,
    API_KEY_STATE_REVOKED,
    API_KEY_STATE_ROTATED,
    ROLE_ADMIN,
    ROLE_MERCHANT,
)

from services.access.domain.key import KeyState
from services.access.domain.scopes import SCOPES_OF, Role
from services.kernel.clock import ManualClock
from services.kernel.errors import (
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SwitchyardError,
)
from services.kernel.ids import ApiKeyId, MerchantId
from services.runtime.rpc import typed_errors
from tests.access.conftest import AccessUnderTest, over_the_network, running_access
from tests.access.keys import NOW
from tests.access.requests import key_request, new_key, new_merchant, revoke, rotate_request, who


def _at(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


async def _text_of_all_tables(owner_url: str) -> str:
    connection = await asyncpg.connect(owner_url)
    tables = await connection.fetch(
        "select table_name from information_schema.tables where table_schema = 'access'"
    )
    text = ""
    for (table,) in tables:
        for (row,) in await connection.fetch(f'select t::text from access."{table}" as t'):
            text += row
    await connection.close()
    return text


async def test_the_tables_hold_no_secret_in_any_form(
    access: AccessUnderTest, owner_url: str
) -> None:
    merchant_id = await new_merchant(access.stub)
    made = await new_key(access.stub, merchant_id)
    rotated = await access.stub.RotateApiKey(rotate_request(made.api_key.id))
    await who(access.stub, rotated.secret_value)
    await access.authenticator.note_uses()
    text = await _text_of_all_tables(owner_url)
    assert made.api_key.hint in text
    for secret in (made.secret_value, rotated.secret_value):
        for form in (secret, secret[4:40], secret.encode().hex(), secret[4:47]):
            assert form not in text


async def test_of_a_hundred_creates_under_one_key_one_makes_and_shows_a_key(
    access: AccessUnderTest,
) -> None:
    request = key_request(await new_merchant(access.stub), key="same")
    async with over_the_network(access) as network:
        stubs = [access.stub, network]
        answers = await asyncio.gather(*(stubs[n % 2].CreateApiKey(request) for n in range(100)))
    assert len({answer.api_key.id for answer in answers}) == 1
    [secret] = [answer.secret_value for answer in answers if answer.secret_value]
    assert sum(answer.replayed for answer in answers) == 99
    assert (await who(access.stub, secret)).api_key_id == answers[0].api_key.id
    everything = await access.stub.ListApiKeys(pb.ListApiKeysRequest())
    assert len(everything.api_keys) == 1


async def test_a_repeat_after_the_key_has_expired_is_still_a_repeat(application_url: str) -> None:
    clock = ManualClock(NOW)
    async with running_access(application_url, clock=clock) as access:
        merchant_id = await new_merchant(access.stub)
        request = key_request(merchant_id, key="k", expires_at=_at(NOW + timedelta(days=1)))
        await access.stub.CreateApiKey(request)
        clock.advance(timedelta(days=2))
        again = await access.stub.CreateApiKey(request)
    assert again.replayed
    assert again.api_key.state == API_KEY_STATE_EXPIRED


async def test_the_same_key_for_another_body_names_what_differs(access: AccessUnderTest) -> None:
    merchant_id = await new_merchant(access.stub)
    await access.stub.CreateApiKey(key_request(merchant_id, key="k"))
    other = key_request(merchant_id, key="k", name="till", scopes=("payments:read",))
    with pytest.raises(Conflict) as refusal, typed_errors():
        await access.stub.CreateApiKey(other)
    assert [violation.field for violation in refusal.value.violations] == ["name", "scopes"]


async def test_two_merchants_may_use_the_same_idempotency_key(access: AccessUnderTest) -> None:
    merchants = [await new_merchant(access.stub), await new_merchant(access.stub), ""]
    made = [
        await access.stub.CreateApiKey(key_request(merchant_id, key="k"))
        for merchant_id in merchants
    ]
    assert len({answer.api_key.id for answer in made}) == 3
    assert [answer.api_key.merchant_id for answer in made] == merchants


async def test_a_key_without_scopes_allows_all_that_its_role_may_do(
    access: AccessUnderTest,
) -> None:
    merchants = await new_key(access.stub, await new_merchant(access.stub))
    assert list(merchants.api_key.scopes) == sorted(SCOPES_OF[Role.MERCHANT])
    operators = await new_key(access.stub, "")
    assert list(operators.api_key.scopes) == sorted(SCOPES_OF[Role.ADMIN])
    principal = await who(access.stub, operators.secret_value)
    assert (principal.role, principal.merchant_id, principal.merchant_active) == (
        ROLE_ADMIN,
        "",
        False,
    )


async def test_a_key_allows_no_more_than_it_was_given(access: AccessUnderTest) -> None:
    scopes = ("refunds:write", "payments:read", "payments:read")
    request = key_request(await new_merchant(access.stub), scopes=scopes)
    made = await access.stub.CreateApiKey(request)
    principal = await who(access.stub, made.secret_value)
    assert list(principal.scopes) == ["payments:read", "refunds:write"]
    assert principal.role == ROLE_MERCHANT
    assert principal.merchant_active


_PAST = Timestamp(seconds=1)
_LAST = Timestamp(seconds=253_402_300_799, nanos=999_999_999)
_NEVER = Timestamp(seconds=2**60)


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"name": ""}, ["text.length"]),
        ({"role": 0}, ["role.known"]),
        ({"role": 9}, ["role.known"]),
        ({"role": ROLE_ADMIN}, ["merchant.absent"]),
        ({"merchant_id": ""}, ["merchant.present"]),
        ({"merchant_id": "mer_x"}, ["id.mer"]),
        ({"scopes": ["payments:read", "payments:all"]}, ["scope.known"]),
        ({"scopes": ["ledger:write"]}, ["scope.role"]),
        ({"scopes": ["admin"], "name": "\n"}, ["text.printable", "scope.role"]),
        ({"expires_at": _PAST}, ["expiry.future"]),
        ({"expires_at": _NEVER}, ["time.range"]),
        ({"expires_at": _LAST}, ["time.range"]),
        ({"idempotency_key": ""}, ["idempotency_key.present"]),
    ],
)
async def test_a_key_that_breaks_a_rule_is_refused(
    access: AccessUnderTest, change: dict[str, object], rules: list[str]
) -> None:
    fields: dict[str, object] = {
        "idempotency_key": "k",
        "merchant_id": await new_merchant(access.stub),
        "name": "shop",
        "role": ROLE_MERCHANT,
        **change,
    }
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await access.stub.CreateApiKey(pb.CreateApiKeyRequest(**fields))  # type: ignore[arg-type]
    assert [violation.rule for violation in refusal.value.violations] == rules
    assert not (await access.stub.ListApiKeys(pb.ListApiKeysRequest())).api_keys


async def test_a_key_for_a_merchant_that_is_not_there_is_refused(access: AccessUnderTest) -> None:
    with pytest.raises(NotFound), typed_errors():
        await new_key(access.stub, MerchantId.new())


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
            key_request(merchant_id, scopes=("payments:read",), expires_at=_at(end))
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


async def test_the_list_finds_each_key_in_the_state_that_it_tells(application_url: str) -> None:
    clock = ManualClock(NOW)
    async with running_access(application_url, clock=clock) as access:
        merchant_id = await new_merchant(access.stub)
        tomorrow = _at(NOW + timedelta(days=1))
        for expires_at in (None, tomorrow, tomorrow, None, None):
            await access.stub.CreateApiKey(key_request(merchant_id, expires_at=expires_at))
        keys = (await access.stub.ListApiKeys(pb.ListApiKeysRequest())).api_keys
        assert [key.id for key in keys] == sorted((key.id for key in keys), reverse=True)
        # Newest first: rotated, revoked, expired and revoked, expired, active.
        await access.stub.RotateApiKey(rotate_request(keys[0].id))
        await revoke(access.stub, keys[1].id)
        await revoke(access.stub, keys[2].id)
        states = (1, 2, 3, 4)
        for after, counts in ((timedelta(0), (3, 1, 0, 2)), (timedelta(days=2), (2, 0, 2, 2))):
            clock.advance(after)
            for state, count in zip(states, counts, strict=True):
                request = pb.ListApiKeysRequest(merchant_id=merchant_id, state=state)  # type: ignore[arg-type]  # a number is a state
                found = (await access.stub.ListApiKeys(request)).api_keys
                assert [key.state for key in found] == [state] * count


async def test_keys_are_listed_page_by_page(access: AccessUnderTest) -> None:
    made = [(await new_key(access.stub, "")).api_key.id for _ in range(5)]
    request = pb.ListApiKeysRequest(page_size=2)
    listed = []
    while True:
        page = await access.stub.ListApiKeys(request)
        listed += [key.id for key in page.api_keys]
        assert all(key.state == API_KEY_STATE_ACTIVE for key in page.api_keys)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == made[::-1]
    other = pb.ListApiKeysRequest(page_token=request.page_token, merchant_id=MerchantId.new())
    with pytest.raises(InvalidArgument), typed_errors():
        await access.stub.ListApiKeys(other)
    with pytest.raises(InvalidArgument), typed_errors():
        await access.stub.ListApiKeys(pb.ListApiKeysRequest(state=9))  # type: ignore[arg-type]  # no state
