"""Who a caller is: answered from memory as long as nothing can have changed.

The feed tells of every change, and that it has looked. What was read is believed while the last
look is recent; otherwise the store is asked, so that a feed that hangs lets no revoked key in.
"""

from collections import OrderedDict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final, Protocol

from services.access.domain.key import ApiKey, Credential
from services.access.domain.secret import Pepper, is_well_formed, malformed, unknown
from services.kernel.clock import Clock
from services.kernel.ids import ApiKeyId, MerchantId

CALLERS_MAY_CACHE: Final = timedelta(milliseconds=250)
"""How long a caller may go on believing an answer; with the next, less than a second in all."""

_LOOK_BELIEVED_SECONDS: Final = 0.7
_READING_BELIEVED_SECONDS: Final = 5.0
_CACHED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Reading:
    credential: Credential
    read_at_seconds: float


class Credentials(Protocol):
    """Where keys are found, and their use is noted."""

    async def find(self, digest: bytes) -> Credential | None: ...

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None: ...


class Authenticator:
    """Knows callers by their keys."""

    def __init__(self, credentials: Credentials, pepper: Pepper, clock: Clock) -> None:
        self._credentials = credentials
        self._pepper = pepper
        self._clock = clock
        self._readings: OrderedDict[bytes, _Reading] = OrderedDict()
        self._looked_at_seconds: float | None = None
        self._change_count = 0
        self._uses: dict[ApiKeyId, datetime] = {}

    async def authenticate(self, secret: str) -> tuple[Credential, timedelta]:
        """Whose key it is, and how long that may be believed; or a refusal that says why not."""
        # Malformed text of any length is refused before anything is computed from it.
        if not is_well_formed(secret):
            raise malformed()
        digest = self._pepper.digest(secret)
        credential = self._remembered(digest) or await self._read(digest)
        if credential is None or not compare_digest(credential.digest, digest):
            raise unknown()
        now = self._clock.now()
        credential.key.require_taken(now)
        self._uses[credential.key.id] = now
        return credential, _cache_for(credential.key, now)

    def hear(self, changed: Set[ApiKeyId | MerchantId], looked_at_seconds: float) -> None:
        """What has changed up to a moment of the monotonic clock."""
        if changed:
            self.forget(changed)
        self._looked_at_seconds = looked_at_seconds

    def forget(self, changed: Set[ApiKeyId | MerchantId]) -> None:
        """Believe nothing of these keys and merchants that was read before."""
        self._change_count += 1
        for digest, reading in list(self._readings.items()):
            key = reading.credential.key
            if key.id in changed or key.merchant_id in changed:
                del self._readings[digest]

    def forget_all(self) -> None:
        """Believe nothing that was read before: changes may have been missed."""
        self._change_count += 1
        self._readings.clear()
        self._looked_at_seconds = None

    async def note_uses(self) -> None:
        """Write down when keys were used since the last time."""
        uses = dict(self._uses)
        if not uses:
            return
        await self._credentials.note_uses(uses)
        for key_id, used_at in uses.items():
            if self._uses[key_id] == used_at:
                del self._uses[key_id]

    def _remembered(self, digest: bytes) -> Credential | None:
        now_seconds = self._clock.monotonic()
        looked_at_seconds = self._looked_at_seconds
        if (
            looked_at_seconds is None
            or now_seconds - looked_at_seconds > _LOOK_BELIEVED_SECONDS
            or (reading := self._readings.get(digest)) is None
            or now_seconds - reading.read_at_seconds > _READING_BELIEVED_SECONDS
        ):
            return None
        self._readings.move_to_end(digest)
        return reading.credential

    async def _read(self, digest: bytes) -> Credential | None:
        change_count, read_at_seconds = self._change_count, self._clock.monotonic()
        credential = await self._credentials.find(digest)
        # What the feed told while the reading was on its way may be newer than the reading.
        if credential is not None and change_count == self._change_count:
            self._readings[digest] = _Reading(credential, read_at_seconds)
            self._readings.move_to_end(digest)
            if len(self._readings) > _CACHED_MAX:
                self._readings.popitem(last=False)
        return credential


def _cache_for(key: ApiKey, now: datetime) -> timedelta:
    if key.expires_at is None:
        return CALLERS_MAY_CACHE
    return min(CALLERS_MAY_CACHE, key.expires_at - now)
