"""Who a caller is: every refusal has its cause, and no process believes what is no longer so."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import pytest
import structlog
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.merchant_pb2 import MERCHANT_STATE_ACTIVE, MERCHANT_STATE_SUSPENDED

from services.access.domain.key import Credential
from services.access.domain.secret import new_secret
from services.access.service.authentication import (
    _LOOK_BELIEVED_SECONDS,
    CALLERS_MAY_CACHE,
    Authenticator,
)
from services.kernel.clock import ManualClock
from services.kernel.errors import Reason, Unauthenticated, Unavailable
from services.kernel.ids import ApiKeyId
from services.runtime.rpc import typed_errors
from services.runtime.telemetry import configure_logging
from tests.access.conftest import PEPPER, AccessUnderTest, over_the_network, running_access
from tests.access.keys import NOW, a_key
from tests.access.requests import key_request, new_key, new_merchant, revoke, rotate_request, who

_WITHIN_SECONDS = 1.0


async def _refusal(stub: AccessServiceStub, secret: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refusal:
        await who(stub, secret)
    assert refusal.value.reason is Reason.UNAUTHENTICATED
    return refusal.value


async def _until_refused(stub: AccessServiceStub, secret: str) -> None:
    """Show a key over and over, until it is refused with an error."""
    async with asyncio.timeout(30):
        while True:
            await who(stub, secret)
            await asyncio.sleep(0.01)


async def _seconds_until_revoked(stub: AccessServiceStub, secret: str) -> float:
    """How long a key is still taken."""
    began = time.monotonic()
    with pytest.raises(Unauthenticated):
        await _until_refused(stub, secret)
    return time.monotonic() - began


async def _looked_twice(access: AccessUnderTest) -> None:
    """Let the feed go past all that was written until now, so that it tells of none of it again."""
    for _ in range(2):
        before = access.authenticator._looked_at_seconds
        async with asyncio.timeout(30):
            while access.authenticator._looked_at_seconds == before:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)


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
            refusal = await _refusal(stub, secret)
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
        refusal = await _refusal(access.stub, made.secret_value)
    assert refusal.details["cause"] == "expired"
    assert refusal.details["api_key_id"] == made.api_key.id


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
    assert (await _refusal(access.stub, made.secret_value)).details["cause"] == "revoked"


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
        await _refusal(access.stub, old.secret_value)
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


class _CountedCredentials:
    """A store of one key, which can be held up and tells how often it was asked."""

    def __init__(self, secret: str) -> None:
        self.credential = Credential(PEPPER.digest(secret), a_key(), merchant_active=True)
        self.count = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def find(self, digest: bytes) -> Credential | None:
        self.count += 1
        found = self.credential if digest == self.credential.digest else None
        self.meanwhile()
        return found

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        raise AssertionError("uses are noted elsewhere")


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def store(secret: str) -> _CountedCredentials:
    return _CountedCredentials(secret)


@pytest.fixture
def authenticator(store: _CountedCredentials, clock: ManualClock) -> Authenticator:
    authenticator = Authenticator(store, PEPPER, clock)
    authenticator.hear(frozenset(), clock.monotonic())
    return authenticator


async def test_the_store_is_asked_once_while_the_feed_looks(
    store: _CountedCredentials, authenticator: Authenticator, clock: ManualClock, secret: str
) -> None:
    for _ in range(10):
        await authenticator.authenticate(secret)
        clock.advance(timedelta(milliseconds=400))
        authenticator.hear(frozenset(), clock.monotonic())
    assert store.count == 1
    clock.advance(timedelta(seconds=5))
    authenticator.hear(frozenset(), clock.monotonic())
    await authenticator.authenticate(secret)
    assert store.count == 2


async def test_nothing_is_believed_once_the_feed_is_silent(
    store: _CountedCredentials, authenticator: Authenticator, clock: ManualClock, secret: str
) -> None:
    await authenticator.authenticate(secret)
    clock.advance(timedelta(seconds=0.75))
    for _ in range(3):
        await authenticator.authenticate(secret)
    assert store.count == 4


def test_whatever_fails_nobody_believes_a_key_for_more_than_a_second() -> None:
    assert _LOOK_BELIEVED_SECONDS + CALLERS_MAY_CACHE.total_seconds() < _WITHIN_SECONDS


async def test_what_was_read_before_a_change_was_told_is_not_kept(
    store: _CountedCredentials, authenticator: Authenticator, clock: ManualClock, secret: str
) -> None:
    changed = frozenset({store.credential.key.id})
    store.meanwhile = lambda: authenticator.hear(changed, clock.monotonic())
    await authenticator.authenticate(secret)
    store.meanwhile = lambda: None
    await authenticator.authenticate(secret)
    await authenticator.authenticate(secret)
    assert store.count == 2


async def test_another_keys_change_leaves_what_is_known(
    store: _CountedCredentials, authenticator: Authenticator, clock: ManualClock, secret: str
) -> None:
    await authenticator.authenticate(secret)
    authenticator.hear(frozenset({ApiKeyId.new()}), clock.monotonic())
    await authenticator.authenticate(secret)
    assert store.count == 1


async def test_a_row_of_another_digest_is_no_answer(
    store: _CountedCredentials, authenticator: Authenticator, secret: str
) -> None:
    # As if the database had found the wrong row.
    other = new_secret()
    store.credential = Credential(PEPPER.digest(other), a_key(), merchant_active=True)

    async def find(digest: bytes) -> Credential:
        return store.credential

    store.find = find  # type: ignore[method-assign]  # it finds the wrong one
    with pytest.raises(Unauthenticated) as refusal:
        await authenticator.authenticate(secret)
    assert refusal.value.details["cause"] == "unknown"


async def test_with_another_pepper_no_key_is_known(
    access: AccessUnderTest, application_url: str
) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    other = type(PEPPER)(b"another installation's pepper")
    async with running_access(application_url, pepper=other) as elsewhere:
        assert (await _refusal(elsewhere.stub, made.secret_value)).details["cause"] == "unknown"


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


async def test_a_database_that_is_away_is_not_taken_for_a_wrong_key(
    access: AccessUnderTest, owner_url: str
) -> None:
    made = await new_key(access.stub, await new_merchant(access.stub))
    async with _refusing_connections(owner_url):
        with pytest.raises(Unavailable):
            await _until_refused(access.stub, made.secret_value)
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


async def test_no_log_line_shows_a_key(access: AccessUnderTest) -> None:
    lines = io.StringIO()
    configure_logging("test", level="debug", stream=lines)
    try:
        made = await new_key(access.stub, await new_merchant(access.stub))
        await who(access.stub, made.secret_value)
        await _refusal(access.stub, made.secret_value[:-1])
        await _refusal(access.stub, new_secret())
        # Put where ids go, and told by whoever handles a key carelessly.
        misplaced = key_request(made.secret_value)
        with pytest.raises(Exception, match="MerchantId"), typed_errors():
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
