"""The processors: an adapter for each that is configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from payments.processor.v1.processor_service_pb2_grpc import add_ProcessorServiceServicer_to_server

from services.processor.configuration import open_processors
from services.processor.rpc import ProcessorServicer
from services.processor.service.processors import Processors
from services.system.shared import System


@asynccontextmanager
async def open_processor(system: System) -> AsyncIterator[None]:
    processors = Processors(
        open_processors(system.settings, system.clock),
        system.clock,
        timeout=timedelta(seconds=system.settings.processor_timeout_seconds),
    )
    system.registry.register(add_ProcessorServiceServicer_to_server, ProcessorServicer(processors))
    try:
        yield
    finally:
        await processors.close()
