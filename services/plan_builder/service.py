"""The use case of the plan builder, and the ports it needs."""

from typing import Protocol

from services.kernel.context import CoreRequestContext
from services.kernel.ids import MerchantId
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.config import Catalogue, PlanningConfig
from services.plan_builder.domain.plan import PaymentPlan


class Configs(Protocol):
    """Where configurations come from; version zero is the newest."""

    async def config(self, merchant_id: MerchantId, version: int) -> PlanningConfig: ...


class Processors(Protocol):
    """Who knows what each processor can take."""

    async def catalogue(self) -> Catalogue: ...


class PlanBuilder:
    """Builds plans; it does nothing else and keeps nothing."""

    def __init__(self, configs: Configs, processors: Processors) -> None:
        self._configs = configs
        self._processors = processors

    async def build(self, context: CoreRequestContext, config_version: int) -> PaymentPlan:
        """The plan of a request under one version of its merchant's configuration."""
        config = await self._configs.config(context.merchant_id, config_version)
        return build_plan(context, config, await self._processors.catalogue())
