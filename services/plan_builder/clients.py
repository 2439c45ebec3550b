"""Configurations and processors, kept at hand so that a plan seldom waits for another service.

And recorded requests, which are read page by page and not kept.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.config.v1.merchant_config_service_pb2 import (
    DiffConfigsRequest,
    GetConfigRequest,
    WatchConfigsRequest,
)
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.processor.v1.processor_service_pb2 import ListProcessorsRequest
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.kernel.clock import Clock
from services.kernel.errors import DeadlineExceeded, SwitchyardError, Unavailable
from services.kernel.ids import MerchantId
from services.kernel.paging import MAX_PAGE_SIZE
from services.plan_builder.domain.config import Catalogue, PlanningConfig
from services.plan_builder.domain.replay import Page, ReplayOrder
from services.plan_builder.translate.config import (
    ability_from_message,
    config_from_message,
    config_from_settings,
)
from services.plan_builder.translate.replay import list_request, recorded_from_message
from services.runtime.rpc import typed_errors
from services.runtime.single_flight import SingleFlight

_CONFIGS_MAX: Final = 4_096
_READING_SECONDS: Final = 5.0
_WATCH_SECONDS: Final = 3_600.0
# Half of the second within which a change must be seen, for want of anyone who tells of it.
_BLIND_SECONDS: Final = 0.5
_CATALOGUE_SECONDS: Final = 1.0
# Payments in the same loop wait while a page is read, so that a page is short.
_PAGE_REQUESTS: Final = 20

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_log = logging.getLogger(__name__)


class Configs:
    """Every version that was read, and which one is each merchant's newest.

    While the watch is on, it tells of every new version. While it is not, a newest version is
    believed for half a second.
    """

    def __init__(self, stub: MerchantConfigServiceStub, clock: Clock) -> None:
        self._stub = stub
        self._clock = clock
        self._configs: OrderedDict[tuple[MerchantId, int], PlanningConfig] = OrderedDict()
        self._newest: OrderedDict[MerchantId, tuple[int, float]] = OrderedDict()
        self._reading: SingleFlight[tuple[MerchantId, int, int], PlanningConfig] = SingleFlight()
        self.is_watching = False
        self._watch_count = 0

    async def config(self, merchant_id: MerchantId, version: int) -> PlanningConfig:
        """One version; zero for the newest."""
        known = version or self._known_newest(merchant_id)
        if known and (config := self._configs.get((merchant_id, known))):
            self._configs.move_to_end((merchant_id, known))
            return config
        # What was asked for before the watch began may be older than what is wanted now.
        asked = merchant_id, known, self._watch_count
        return await self._reading.join(asked, partial(self._read, merchant_id, known))

    async def _read(self, merchant_id: MerchantId, known: int) -> PlanningConfig:
        watch = self._watch_count
        request = GetConfigRequest(merchant_id=merchant_id, version=known)
        with typed_errors():
            response = await self._stub.GetConfig(request, timeout=_READING_SECONDS)
        config = config_from_message(response.config)
        _keep(self._configs, (merchant_id, config.version), config)
        # What was asked before the watch began may be older than what it will tell.
        if known == 0 and watch == self._watch_count:
            self._learn(merchant_id, config.version)
        return config

    async def proposed(self, merchant_id: MerchantId, settings: bytes) -> PlanningConfig:
        """Settings that are not stored, judged by who would store them."""
        proposal = MerchantSettings.FromString(settings)
        with typed_errors():
            await self._stub.DiffConfigs(
                DiffConfigsRequest(merchant_id=merchant_id, proposal=proposal)
            )
        return config_from_settings(merchant_id, 0, proposal)

    async def watch(self) -> bool:
        """Hear of new versions until the stream ends; whether it ended as it should."""
        call = self._stub.WatchConfigs(WatchConfigsRequest(), timeout=_WATCH_SECONDS)
        try:
            with typed_errors():
                await call.initial_metadata()
                # From here on nothing is missed, and until here anything may have been.
                self._newest.clear()
                self._watch_count += 1
                self.is_watching = True
                async for told in call:
                    self._learn(MerchantId.parse(told.merchant_id), told.version)
        except DeadlineExceeded:
            return True
        except SwitchyardError as error:
            _log.warning("configurations are not being watched, trying again: %s", error)
            return False
        finally:
            self.is_watching = False
            self._newest.clear()
            call.cancel()
        return True

    def _known_newest(self, merchant_id: MerchantId) -> int:
        """The newest version as far as it can be believed; zero when it has to be asked for."""
        version, learnt_at = self._newest.get(merchant_id, (0, 0.0))
        if self.is_watching or self._clock.monotonic() - learnt_at < _BLIND_SECONDS:
            return version
        return 0

    def _learn(self, merchant_id: MerchantId, version: int) -> None:
        # An answer that was long on its way must not undo what the watch has told meanwhile.
        known, _ = self._newest.get(merchant_id, (0, 0.0))
        _keep(self._newest, merchant_id, (max(known, version), self._clock.monotonic()))


class Processors:
    """What each processor can take, read anew every second at most."""

    def __init__(
        self,
        stub: ProcessorServiceStub,
        clock: Clock,
        *,
        lifetime: timedelta = timedelta(seconds=_CATALOGUE_SECONDS),
    ) -> None:
        self._stub = stub
        self._clock = clock
        self._lifetime_seconds = lifetime.total_seconds()
        self._catalogue: Catalogue = {}
        self._fresh_until: float | None = None
        self._reading = asyncio.Lock()

    async def catalogue(self) -> Catalogue:
        """Every processor by its id."""
        if not self._is_fresh():
            async with self._reading:
                if not self._is_fresh():
                    self._catalogue = await self._read()
                    self._fresh_until = self._clock.monotonic() + self._lifetime_seconds
        return self._catalogue

    def _is_fresh(self) -> bool:
        return self._fresh_until is not None and self._clock.monotonic() < self._fresh_until

    async def _read(self) -> Catalogue:
        catalogue = {}
        request = ListProcessorsRequest(page_size=MAX_PAGE_SIZE)
        while True:
            with typed_errors():
                page = await self._stub.ListProcessors(request)
            for processor in page.processors:
                catalogue[processor.id] = ability_from_message(processor)
            if not page.next_page_token:
                return catalogue
            request.page_token = page.next_page_token


class Recordings:
    """The orchestrator's recorded requests."""

    def __init__(self, stub: OrchestratorServiceStub) -> None:
        self._stub = stub

    async def pages(self, order: ReplayOrder) -> AsyncIterator[Page]:
        """The requests that are wanted, no more of them at a time than a page."""
        left = order.last_count
        request = list_request(order, _PAGE_REQUESTS)
        while left:
            with typed_errors():
                answer = await self._stub.ListRecordedRequests(request)
            requests = [recorded_from_message(each) for each in answer.requests[:left]]
            left -= len(requests)
            is_last = not left or not answer.next_page_token
            yield Page(requests, is_last)
            if is_last:
                return
            request.page_token = answer.next_page_token


class NoRecordings:
    """Stands where nobody has said where the orchestrator is: plans need none of it."""

    def pages(self, order: ReplayOrder) -> AsyncIterator[Page]:  # noqa: ARG002 -- the port's
        raise Unavailable(
            "this plan builder cannot reach recorded requests: say where the orchestrator is with"
            " SERVICE_ADDRESSES=orchestrator=host:port"
        )


def _keep(cache: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > _CONFIGS_MAX:
        cache.popitem(last=False)
