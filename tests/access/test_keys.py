"""Keys: shown once, kept as digests, allowed what they were given, listed."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.api_key_pb2 import (
    API_KEY_STATE_ACTIVE,
    API_KEY_STATE_EXPIRED,
    ROLE_ADMIN,
    ROLE_MERCHANT,
)

from services.access.domain.scopes import SCOPES_OF, Role
from services.kernel.clock import ManualClock
from services.kernel.errors import Conflict, InvalidArgument, NotFound
from services.kernel.ids import MerchantId
from services.runtime.rpc import typed_errors
from tests.access.conftest import AccessUnderTest, over_the_network, running_access
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
        request = key_request(merchant_id, key="k", expires_at=timestamp(NOW + timedelta(days=1)))
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
    assert refusal.value.message == (
        "the idempotency key 'k' was used before, for a request that differs in name, scopes"
    )


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


async def test_the_list_finds_each_key_in_the_state_that_it_tells(application_url: str) -> None:
    clock = ManualClock(NOW)
    async with running_access(application_url, clock=clock) as access:
        merchant_id = await new_merchant(access.stub)
        tomorrow = timestamp(NOW + timedelta(days=1))
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
