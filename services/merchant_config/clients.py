"""The processors that there are, as ProcessorService lists them."""

from collections.abc import Mapping

from payments.processor.v1.processor_service_pb2 import ListProcessorsRequest
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.kernel.paging import MAX_PAGE_SIZE
from services.merchant_config.domain.settings import ProcessorFacts
from services.runtime.rpc import typed_errors
from services.runtime.wire.words import METHODS


class ProcessorDirectory:
    """Asked each time: configurations change rarely, and are judged by what is there now."""

    def __init__(self, stub: "ProcessorServiceStub") -> None:
        self._stub = stub

    async def processors(self) -> Mapping[str, ProcessorFacts]:
        """What each processor takes, by its id."""
        facts: dict[str, ProcessorFacts] = {}
        request = ListProcessorsRequest(page_size=MAX_PAGE_SIZE)
        while True:
            with typed_errors():
                page = await self._stub.ListProcessors(request)
            for processor in page.processors:
                facts[processor.id] = ProcessorFacts(
                    frozenset(METHODS[m] for m in processor.methods if m in METHODS),
                    frozenset(processor.currencies),
                )
            if not page.next_page_token:
                return facts
            request.page_token = page.next_page_token
