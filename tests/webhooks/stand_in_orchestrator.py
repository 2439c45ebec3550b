"""An orchestrator that answers what a test wrote down, and remembers each fact it was told."""

from collections import Counter
from typing import Any

from payments.orchestrator.v1.orchestrator_service_pb2 import (
    ApplyProcessorEventRequest,
    ApplyProcessorEventResponse,
)
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceServicer
from payments.orchestrator.v1.payment_story_pb2 import EventDisposition

from services.kernel.ids import MerchantId, PaymentId

APPLIED = EventDisposition.EVENT_DISPOSITION_APPLIED
KNOWN = EventDisposition.EVENT_DISPOSITION_KNOWN
UNMATCHED = EventDisposition.EVENT_DISPOSITION_UNMATCHED


class StandInOrchestrator(OrchestratorServiceServicer):
    """Knows the payments of some objects at some processors; applies each event once."""

    def __init__(self) -> None:
        self.payment_id = PaymentId.new()
        self.merchant_id = MerchantId.new()
        self.processor_ids = {"stripe"}
        self.unknown_objects: set[str] = set()
        self.trouble: list[Exception] = []
        """What is raised before anything is answered, one a call; the last one stays."""
        self.told: Counter[str] = Counter()
        """How often it was told of each event, by the processor's id of it."""
        self.applied: Counter[str] = Counter()
        self.requests: list[ApplyProcessorEventRequest] = []

    async def ApplyProcessorEvent(  # noqa: N802 -- the contract's name
        self, request: ApplyProcessorEventRequest, context: Any
    ) -> ApplyProcessorEventResponse:
        event = request.event
        self.told[event.id] += 1
        self.requests.append(request)
        if self.trouble:
            raise self.trouble[0] if len(self.trouble) == 1 else self.trouble.pop(0)
        is_ours = event.processor_id in self.processor_ids
        if not is_ours or event.object_id in self.unknown_objects:
            return ApplyProcessorEventResponse(disposition=UNMATCHED)
        is_new = event.id not in self.applied
        self.applied[event.id] += is_new
        return ApplyProcessorEventResponse(
            disposition=APPLIED if is_new else KNOWN,
            payment_id=self.payment_id,
            merchant_id=self.merchant_id,
            replayed=not is_new,
        )
