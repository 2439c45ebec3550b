"""What one process believes of the keys that it was shown, and when it asks again."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest

from services.access.domain.key import Credential
from services.access.domain.secret import new_secret
from services.access.service.authentication import Authenticator
from services.kernel.clock import ManualClock
from services.kernel.errors import Unauthenticated
from services.kernel.ids import ApiKeyId
from tests.access.conftest import PEPPER
from tests.access.keys import NOW, a_key


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


class _MistakenCredentials(_CountedCredentials):
    """A store that finds its one key whichever is looked for, as if the row were a wrong one."""

    async def find(self, digest: bytes) -> Credential | None:
        return self.credential


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


async def test_a_row_of_another_digest_is_no_answer(clock: ManualClock, secret: str) -> None:
    authenticator = Authenticator(_MistakenCredentials(new_secret()), PEPPER, clock)
    with pytest.raises(Unauthenticated) as refusal:
        await authenticator.authenticate(secret)
    assert refusal.value.details["cause"] == "unknown"
