"""ProcessorService, as the router calls it."""

from typing import Any, cast

from payments.processor.v1 import processor_service_pb2 as pb
from payments.processor.v1.attempt_pb2 import Attempt
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.router.domain.attempt import Answer, Operation, Order
from services.router.translate import answer_from_result
from services.runtime.rpc import typed_errors


class Processors:
    """Sends an order by the method of its operation."""

    def __init__(self, stub: ProcessorServiceStub) -> None:
        # The methods are alike but for their types.
        self._calls: dict[Operation, tuple[Any, Any]] = {
            Operation.AUTHORIZE: (stub.Authorize, pb.AuthorizeRequest),
            Operation.CAPTURE: (stub.Capture, pb.CaptureRequest),
            Operation.VOID: (stub.Void, pb.VoidRequest),
            Operation.REFUND: (stub.Refund, pb.RefundRequest),
            Operation.LOOKUP: (stub.Lookup, pb.LookupRequest),
        }

    async def send(self, operation: Operation, order: Order, timeout_seconds: float) -> Answer:
        """The processor's answer; an error of the kernel's when there is none."""
        call, request_type = self._calls[operation]
        request = request_type(
            attempt=cast("Attempt", order.attempt), idempotency_key=order.idempotency_key
        )
        with typed_errors():
            response = await call(request, timeout=timeout_seconds)
        return answer_from_result(order.processor_id, response.result)
