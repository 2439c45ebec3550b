"""Versions: made one after another, never changed, listed and compared."""

import asyncio
import base64
import json

import asyncpg
import pytest
from google.protobuf.json_format import MessageToDict
from payments.config.v1.merchant_config_service_pb2 import (
    DiffConfigsRequest,
    GetConfigRequest,
    ListConfigVersionsRequest,
)

from services.kernel.errors import Conflict, InFlight, InvalidArgument, NotFound, Reason
from services.kernel.ids import MerchantId
from services.runtime.rpc import typed_errors
from tests.merchant_config.conftest import ConfigsUnderTest
from tests.merchant_config.settings import ADD_VERSION, MERCHANT, put, sound


async def test_a_version_is_read_back_as_it_was_written(configs: ConfigsUnderTest) -> None:
    made = await configs.stub.PutConfig(
        put(comment="first"), metadata=(("x-author", "key_019aa5a0000070008000000000000009"),)
    )
    assert made.config.version == 1
    assert made.config.settings == sound()
    assert (made.config.comment, made.config.author) == (
        "first",
        "key_019aa5a0000070008000000000000009",
    )
    for version in (0, 1):
        request = GetConfigRequest(merchant_id=MERCHANT, version=version)
        assert (await configs.stub.GetConfig(request)).config == made.config


async def test_the_next_version_leaves_the_one_before_as_it_was(configs: ConfigsUnderTest) -> None:
    first = await configs.stub.PutConfig(put())
    await configs.stub.PutConfig(put(sound(default_currency="EUR"), expected_version=1, key="k2"))
    newest = await configs.stub.GetConfig(GetConfigRequest(merchant_id=MERCHANT))
    assert (newest.config.version, newest.config.settings.default_currency) == (2, "EUR")
    before = await configs.stub.GetConfig(GetConfigRequest(merchant_id=MERCHANT, version=1))
    assert before.config == first.config


async def test_who_has_not_read_the_newest_version_is_refused(configs: ConfigsUnderTest) -> None:
    await configs.stub.PutConfig(put())
    for expected in (0, 2):
        with pytest.raises(InFlight) as refusal, typed_errors():
            await configs.stub.PutConfig(put(expected_version=expected, key=f"late {expected}"))
        assert refusal.value.reason is Reason.STALE_VERSION
        assert refusal.value.details["newest_version"] == "1"


async def test_of_fifty_who_read_the_same_version_one_gets_through(
    configs: ConfigsUnderTest,
) -> None:
    outcomes = await asyncio.gather(
        *(configs.stub.PutConfig(put(key=f"k{number}")) for number in range(50)),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert await configs.count_versions() == 1


async def test_the_same_key_and_proposal_replays(configs: ConfigsUnderTest) -> None:
    calls = await asyncio.gather(*(configs.stub.PutConfig(put()) for _ in range(20)))
    assert sum(not call.replayed for call in calls) == 1
    assert {call.config.version for call in calls} == {1}
    assert all(call.config == calls[0].config for call in calls)


async def test_a_repeat_is_answered_though_a_processor_is_gone_meanwhile(
    configs: ConfigsUnderTest,
) -> None:
    first = await configs.stub.PutConfig(put())
    configs.processors.processors = configs.processors.processors[1:]
    with pytest.raises(InvalidArgument), typed_errors():
        await configs.stub.PutConfig(put(expected_version=1, key="k2"))
    again = await configs.stub.PutConfig(put())
    assert (again.replayed, again.config) == (True, first.config)


async def test_what_cannot_be_read_is_no_repeat_of_what_can(configs: ConfigsUnderTest) -> None:
    await configs.stub.PutConfig(put())
    illegible = put()
    illegible.settings.allowed_methods.append(99)  # type: ignore[arg-type]  # of no version
    with pytest.raises(InvalidArgument), typed_errors():
        await configs.stub.PutConfig(illegible)


@pytest.mark.parametrize("expected_version", [-1, 2**63 - 1])
async def test_a_version_that_none_can_follow_is_refused(
    configs: ConfigsUnderTest, expected_version: int
) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.PutConfig(put(expected_version=expected_version))
    assert [v.field for v in refusal.value.violations] == ["expected_version"]


async def test_the_same_key_with_another_proposal_is_a_conflict(configs: ConfigsUnderTest) -> None:
    await configs.stub.PutConfig(put())
    for other in (put(sound(default_currency="EUR")), put(comment="other")):
        with pytest.raises(Conflict) as refusal, typed_errors():
            await configs.stub.PutConfig(other)
        assert refusal.value.reason is Reason.IDEMPOTENCY_KEY_REUSED


async def test_a_change_without_a_key_is_refused(configs: ConfigsUnderTest) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.PutConfig(put(key=""))
    assert refusal.value.reason is Reason.IDEMPOTENCY_KEY_MISSING


async def test_a_version_that_nobody_made_is_not_found(configs: ConfigsUnderTest) -> None:
    for version in (0, 7):
        request = GetConfigRequest(merchant_id=MERCHANT, version=version)
        with pytest.raises(NotFound) as refusal, typed_errors():
            await configs.stub.GetConfig(request)
        assert refusal.value.reason is Reason.CONFIG_VERSION_NOT_FOUND


async def test_versions_are_listed_newest_first_without_settings(configs: ConfigsUnderTest) -> None:
    for number in range(5):
        await configs.stub.PutConfig(put(expected_version=number, key=f"k{number}"))
    request = ListConfigVersionsRequest(merchant_id=MERCHANT, page_size=2)
    listed = []
    while True:
        page = await configs.stub.ListConfigVersions(request)
        listed += [config.version for config in page.versions]
        assert not any(config.HasField("settings") for config in page.versions)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == [5, 4, 3, 2, 1]


async def test_another_merchants_page_token_is_refused(configs: ConfigsUnderTest) -> None:
    for number in range(2):
        await configs.stub.PutConfig(put(expected_version=number, key=f"k{number}"))
    request = ListConfigVersionsRequest(merchant_id=MERCHANT, page_size=1)
    token = (await configs.stub.ListConfigVersions(request)).next_page_token
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.ListConfigVersions(
            ListConfigVersionsRequest(merchant_id=MerchantId.new(), page_token=token)
        )
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize("place", ["", "-1", "first", "1\0", "٣", "9" * 30])
async def test_a_page_token_that_leads_to_no_version_is_refused(
    configs: ConfigsUnderTest, place: str
) -> None:
    for number in range(2):
        await configs.stub.PutConfig(put(expected_version=number, key=f"k{number}"))
    request = ListConfigVersionsRequest(merchant_id=MERCHANT, page_size=1)
    token = (await configs.stub.ListConfigVersions(request)).next_page_token
    tie, _ = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    request.page_token = base64.urlsafe_b64encode(json.dumps([tie, place]).encode()).decode()
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.ListConfigVersions(request)
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


async def test_a_diff_names_each_field_that_differs(configs: ConfigsUnderTest) -> None:
    await configs.stub.PutConfig(put())
    other = sound(default_currency="EUR", step_timeout=None)
    other.routing_rules[1].targets[0].weight_percent = 60
    other.routing_rules[1].targets[1].weight_percent = 40
    await configs.stub.PutConfig(put(other, expected_version=1, key="k2"))
    expected = [
        ("default_currency", "USD", "EUR"),
        ("routing_rules[1].targets[0].weight_percent", 70, 60),
        ("routing_rules[1].targets[1].weight_percent", 30, 40),
        ("step_timeout", "20s", None),
    ]
    stored = DiffConfigsRequest(merchant_id=MERCHANT, from_version=1, to_version=2)
    proposed = DiffConfigsRequest(merchant_id=MERCHANT, from_version=1, proposal=other)
    for request in (stored, proposed):
        changes = (await configs.stub.DiffConfigs(request)).changes
        told = [MessageToDict(change) for change in changes]
        assert [(c["path"], c.get("before"), c.get("after")) for c in told] == expected


async def test_a_proposal_that_could_not_be_stored_is_not_compared(
    configs: ConfigsUnderTest,
) -> None:
    await configs.stub.PutConfig(put())
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.DiffConfigs(
            DiffConfigsRequest(merchant_id=MERCHANT, proposal=sound(default_currency="XYZ"))
        )
    assert refusal.value.reason is Reason.CONFIG_INVALID


@pytest.mark.parametrize("login", ["application", "owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "update config.versions set settings = '{}'",
        "delete from config.versions",
        "truncate config.versions",
    ],
)
async def test_the_database_lets_nobody_change_a_version(
    configs: ConfigsUnderTest, owner_url: str, application_url: str, login: str, statement: str
) -> None:
    await configs.stub.PutConfig(put())
    connection = await asyncpg.connect(owner_url if login == "owner" else application_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()
    assert await configs.count_versions() == 1


async def test_the_database_lets_no_version_follow_nothing(application_url: str) -> None:
    connection = await asyncpg.connect(application_url)
    merchant = MerchantId.new()
    with pytest.raises(asyncpg.CheckViolationError, match="follows no version"):
        await connection.execute(ADD_VERSION, merchant.hex, 2)
    await connection.execute(ADD_VERSION, merchant.hex, 1)
    await connection.execute(ADD_VERSION, merchant.hex, 2)
    await connection.close()
