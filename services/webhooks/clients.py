"""ProcessorService and OrchestratorService, as webhooks call them."""

from typing import Final

from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.processor.v1.processor_event_pb2 import PROCESSOR_EVENT_TYPE_IGNORED
from payments.processor.v1.processor_service_pb2 import NormalizeEventRequest
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.runtime.rpc import typed_errors
from services.webhooks.domain.event import Disposition, OpenEvent, Told
from services.webhooks.domain.gap import ListPage, Window
from services.webhooks.translate.applying import apply_request, told
from services.webhooks.translate.gaps import list_page, list_request

# Two processors of an account are told one after the other within a consumer's patience.
_NORMALIZING_SECONDS: Final = 1.0
_TELLING_SECONDS: Final = 2.5
_LISTING_SECONDS: Final = 30.0


class Teller:
    """Has events put into the platform's words, and tells the orchestrator."""

    def __init__(
        self, processors: ProcessorServiceStub, orchestrator: OrchestratorServiceStub
    ) -> None:
        self._processors = processors
        self._orchestrator = orchestrator

    async def tell(self, event: OpenEvent, processor_id: str) -> Told:
        """What the event did, as one that this processor tells."""
        with typed_errors():
            normalized = await self._processors.NormalizeEvent(
                NormalizeEventRequest(processor_id=processor_id, body=event.body),
                timeout=_NORMALIZING_SECONDS,
            )
            if normalized.event.type == PROCESSOR_EVENT_TYPE_IGNORED:
                return Told(Disposition.IGNORED, message="it concerns nothing that is kept")
            response = await self._orchestrator.ApplyProcessorEvent(
                apply_request(normalized.event, event.id), timeout=_TELLING_SECONDS
            )
        return told(response)


class Lists:
    """The processors' own lists of events."""

    def __init__(self, processors: ProcessorServiceStub) -> None:
        self._processors = processors

    async def page(self, processor_id: str, window: Window, token: str, size: int) -> ListPage:
        """Some events of a window, oldest first."""
        with typed_errors():
            response = await self._processors.ListEvents(
                list_request(processor_id, window, token, size), timeout=_LISTING_SECONDS
            )
        return list_page(response)
