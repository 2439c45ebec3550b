"""The use cases of merchant configuration, and the ports they need."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from services.kernel.errors import FieldViolation
from services.kernel.ids import MerchantId
from services.merchant_config.domain.diff import Change, Json, differences
from services.merchant_config.domain.settings import (
    MerchantConfig,
    MerchantSettings,
    ProcessorFacts,
)
from services.merchant_config.domain.validation import violations_of
from services.merchant_config.domain.version import Proposal, Stored, invalid, not_found

_CACHED_MAX: Final = 1_024


class Versions(Protocol):
    """Where versions are kept."""

    async def standing(self, proposal: Proposal) -> Stored | None: ...

    async def put(self, proposal: Proposal) -> Stored: ...

    async def find(self, merchant_id: MerchantId, version: int) -> MerchantConfig | None: ...

    async def newest(self, merchant_id: MerchantId) -> int: ...

    async def list_versions(
        self, merchant_id: MerchantId, below: int | None, limit: int
    ) -> Sequence[MerchantConfig]: ...


class ProcessorDirectory(Protocol):
    """Who knows which processors there are."""

    async def processors(self) -> Mapping[str, ProcessorFacts]: ...


class SettingsText(Protocol):
    """Writes settings down as they are stored and compared."""

    def tree(self, settings: MerchantSettings) -> Json: ...


class Announcements(Protocol):
    """Tells of each version once it stands."""

    def watching(self) -> AbstractAsyncContextManager[AsyncIterator[MerchantConfig]]: ...


class MerchantConfigs:
    """Keeps every version, and lets in only what is sound as a whole."""

    def __init__(
        self,
        versions: Versions,
        directory: ProcessorDirectory,
        text: SettingsText,
        *,
        may_name_private_hosts: bool = False,
    ) -> None:
        self._versions = versions
        self._directory = directory
        self._text = text
        self._may_name_private_hosts = may_name_private_hosts
        self._cached: OrderedDict[tuple[MerchantId, int], MerchantConfig] = OrderedDict()

    async def get(self, merchant_id: MerchantId, version: int) -> MerchantConfig:
        """One version, or for zero the newest."""
        wanted = version or await self._versions.newest(merchant_id)
        key = (merchant_id, wanted)
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        found = await self._versions.find(merchant_id, wanted) if wanted else None
        if found is None:
            raise not_found(merchant_id, version)
        # A version never changes, so what is cached is never stale.
        self._cached[key] = found
        if len(self._cached) > _CACHED_MAX:
            self._cached.popitem(last=False)
        return found

    async def put(self, proposal: Proposal, unreadable: Sequence[FieldViolation] = ()) -> Stored:
        """Make the proposal the newest version; `unreadable` is what could not even be read."""
        # A repeat is answered as the first time, whatever became of the processors since.
        if not unreadable and (standing := await self._versions.standing(proposal)):
            return standing
        await self._require_sound(proposal.settings, unreadable)
        return await self._versions.put(proposal)

    async def list_versions(
        self, merchant_id: MerchantId, below: int | None, limit: int
    ) -> tuple[Sequence[MerchantConfig], int | None]:
        """A page of versions, newest first, and the version below which the next page begins."""
        found = await self._versions.list_versions(merchant_id, below, limit + 1)
        page = found[:limit]
        return page, page[-1].version if len(found) > limit else None

    async def diff(
        self, merchant_id: MerchantId, from_version: int, to_version: int
    ) -> Sequence[Change]:
        """How one version differs from another."""
        before = await self.get(merchant_id, from_version)
        after = await self.get(merchant_id, to_version)
        return self._differences(before, after.settings)

    async def diff_proposal(
        self,
        merchant_id: MerchantId,
        from_version: int,
        proposal: MerchantSettings,
        unreadable: Sequence[FieldViolation] = (),
    ) -> Sequence[Change]:
        """How a version differs from settings that could be stored as they are."""
        before = await self.get(merchant_id, from_version)
        await self._require_sound(proposal, unreadable)
        return self._differences(before, proposal)

    def _differences(
        self, before: MerchantConfig, after: MerchantSettings | None
    ) -> Sequence[Change]:
        assert before.settings is not None
        assert after is not None
        return list(differences(self._text.tree(before.settings), self._text.tree(after)))

    async def _require_sound(
        self, settings: MerchantSettings, unreadable: Sequence[FieldViolation]
    ) -> None:
        known = await self._directory.processors()
        found = violations_of(settings, known, may_name_private_hosts=self._may_name_private_hosts)
        # What could not be read is missing from the settings; that it is missing is no news.
        told = [
            violation
            for violation in found
            if not any(missing.field.startswith(violation.field) for missing in unreadable)
        ]
        if violations := [*unreadable, *told]:
            raise invalid(violations)
