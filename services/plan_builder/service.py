"""The use cases of the plan builder, and the ports they need."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from services.kernel.context import CoreRequestContext
from services.kernel.ids import MerchantId
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.config import Catalogue, PlanningConfig
from services.plan_builder.domain.plan import PaymentPlan
from services.plan_builder.domain.replay import (
    Configurations,
    Page,
    PlanDifference,
    ReplayOrder,
    Tally,
    difference,
)


class Configs(Protocol):
    """Where configurations come from; version zero is the newest."""

    async def config(self, merchant_id: MerchantId, version: int) -> PlanningConfig: ...

    async def proposed(self, merchant_id: MerchantId, settings: bytes) -> PlanningConfig:
        """Settings that are not stored, if they could be."""
        ...


class Processors(Protocol):
    """Who knows what each processor can take."""

    async def catalogue(self) -> Catalogue: ...


class Recordings(Protocol):
    """Where requests are recorded."""

    def pages(self, order: ReplayOrder) -> AsyncIterator[Page]:
        """The requests that are wanted, no more of them at a time than a page."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay has come."""

    requests_replayed: int
    requests_total: int


class PlanBuilder:
    """Builds plans; it does nothing else and keeps nothing."""

    def __init__(self, configs: Configs, processors: Processors) -> None:
        self._configs = configs
        self._processors = processors

    async def build(self, context: CoreRequestContext, config_version: int) -> PaymentPlan:
        """The plan of a request under one version of its merchant's configuration."""
        config = await self._configs.config(context.merchant_id, config_version)
        return build_plan(context, config, await self._processors.catalogue())


class PlanReplay:
    """Sends recorded requests through another configuration; it changes nothing and keeps nothing.

    What is at hand is a page of requests and the sums, however many requests there are.
    """

    def __init__(self, configs: Configs, processors: Processors, recordings: Recordings) -> None:
        self._configs = configs
        self._processors = processors
        self._recordings = recordings

    async def replay(self, order: ReplayOrder) -> AsyncIterator[Progress | PlanDifference | Tally]:
        """Each difference as it is found, progress after each page, and the sums in the end."""
        configs = await self._configurations(order)
        tally = Tally()
        yield Progress(0, order.last_count)
        async for page in self._recordings.pages(order):
            for request in page.requests:
                found = difference(request, configs)
                tally.add(found)
                if found is not None:
                    yield found
                # Others have their turn: a replay may share its loop with payments.
                await asyncio.sleep(0)
            replayed = tally.requests_replayed
            yield Progress(replayed, replayed if page.is_last else order.last_count)
        yield tally

    async def _configurations(self, order: ReplayOrder) -> Configurations:
        tried = (
            await self._configs.proposed(order.merchant_id, order.config)
            if isinstance(order.config, bytes)
            else await self._configs.config(order.merchant_id, order.config)
        )
        today = await self._configs.config(order.merchant_id, 0)
        return Configurations(tried, today, await self._processors.catalogue())
