"""What every route works with: the services behind the gateway, and what is known for a moment."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Self

from grpc.aio import AioRpcError, Channel
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub
from payments.webhooks.v1.webhook_service_pb2_grpc import WebhookServiceStub

from gateway.auth import Principals
from gateway.metrics import GatewayMetrics
from gateway.problems import Problems, error_of_call
from services.kernel.clock import Clock
from services.kernel.errors import NotFound
from services.kernel.ids import MerchantId
from services.kernel.money import Currency
from services.runtime.telemetry import Telemetry

_BELIEVED_SECONDS: Final = 1.0
_REMEMBERED_MAX: Final = 10_000


@dataclass(frozen=True)
class Services:
    """The services that the gateway speaks to, wherever they are."""

    access: AccessServiceStub
    merchant_config: MerchantConfigServiceStub
    plan_builder: PlanBuilderServiceStub
    orchestrator: OrchestratorServiceStub
    ledger: LedgerServiceStub
    webhooks: WebhookServiceStub

    @classmethod
    def over(cls, channel: Channel) -> Self:
        """All of them over one channel."""
        return cls(
            AccessServiceStub(channel),
            MerchantConfigServiceStub(channel),
            PlanBuilderServiceStub(channel),
            OrchestratorServiceStub(channel),
            LedgerServiceStub(channel),
            WebhookServiceStub(channel),
        )

    @classmethod
    async def reached_by(cls, channel_to: Callable[[str], Awaitable[Channel]]) -> Self:
        """Each over the channel that leads to it."""
        return cls(
            AccessServiceStub(await channel_to("access")),
            MerchantConfigServiceStub(await channel_to("merchant_config")),
            PlanBuilderServiceStub(await channel_to("plan_builder")),
            OrchestratorServiceStub(await channel_to("orchestrator")),
            LedgerServiceStub(await channel_to("ledger")),
            WebhookServiceStub(await channel_to("webhooks")),
        )


class DefaultCurrencies:
    """The currency that a merchant means when it names none, as its configuration says."""

    def __init__(self, configs: MerchantConfigServiceStub, clock: Clock) -> None:
        self._configs = configs
        self._clock = clock
        self._known: dict[MerchantId, tuple[Currency | None, float]] = {}

    async def of(self, merchant_id: MerchantId) -> Currency | None:
        now_seconds = self._clock.monotonic()
        known = self._known.get(merchant_id)
        if known is not None and now_seconds < known[1]:
            return known[0]
        currency = await self._read(merchant_id)
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[merchant_id] = (currency, now_seconds + _BELIEVED_SECONDS)
        return currency

    async def _read(self, merchant_id: MerchantId) -> Currency | None:
        try:
            answer = await self._configs.GetConfig(GetConfigRequest(merchant_id=merchant_id))
        except AioRpcError as error:
            failure = error_of_call(error)
            if isinstance(failure, NotFound):
                return None
            raise failure from error
        code = answer.config.settings.default_currency
        return Currency(code) if code else None


@dataclass(frozen=True)
class Means:
    """One gateway's means; it keeps nothing that another could not find out as well."""

    services: Services
    clock: Clock
    telemetry: Telemetry
    metrics: GatewayMetrics
    problems: Problems
    principals: Principals
    currencies: DefaultCurrencies

    @classmethod
    def of(cls, services: Services, clock: Clock, telemetry: Telemetry, base_url: str = "") -> Self:
        return cls(
            services,
            clock,
            telemetry,
            GatewayMetrics(telemetry.registry),
            Problems(base_url),
            Principals(services.access, clock.monotonic),
            DefaultCurrencies(services.merchant_config, clock),
        )
