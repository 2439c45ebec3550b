"""A ProcessorService whose answers a test writes down beforehand, behind the real contract."""

# ruff: noqa: N802 -- the names are the contract's

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from payments.core.v1.operation_pb2 import Operation
from payments.core.v1.payment_method_pb2 import CardNetwork, PaymentMethod
from payments.processor.v1 import processor_service_pb2 as pb
from payments.processor.v1.processor_pb2 import Processor, ProcessorState
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceServicer
from payments.result.v1.result_pb2 import Outcome, Result

CARD = PaymentMethod.PAYMENT_METHOD_CARD
APPLE_PAY = PaymentMethod.PAYMENT_METHOD_APPLE_PAY

Answer = Result | BaseException | Callable[[], Awaitable[Result]]


def processor(
    processor_id: str,
    *,
    methods: Sequence[PaymentMethod.ValueType] = (CARD, APPLE_PAY),
    currencies: Sequence[str] = (),
    networks: Sequence[CardNetwork.ValueType] = (),
    countries: Sequence[str] = (),
    state: ProcessorState.ValueType = ProcessorState.PROCESSOR_STATE_ENABLED,
    operations: Sequence[Operation.ValueType] = tuple(Operation.values()[1:]),
) -> Processor:
    return Processor(
        id=processor_id,
        adapter="stand_in",
        state=state,
        methods=methods,
        currencies=currencies,
        card_networks=networks,
        countries=countries,
        operations=operations,
    )


class StandInProcessors(ProcessorServiceServicer):
    """Keeps what it is asked; answers what `script` holds for an operation, else with success."""

    def __init__(self, *processors: Processor) -> None:
        self.processors = list(processors)
        self.asked: list[tuple[Operation.ValueType, Any]] = []
        self._scripts: dict[Operation.ValueType, deque[Answer]] = defaultdict(deque)
        self.page_size = 2

    def script(self, operation: Operation.ValueType, *answers: Answer) -> None:
        """The next answers to an operation, one after another."""
        self._scripts[operation].extend(answers)

    def count(self, operation: Operation.ValueType) -> int:
        return sum(asked == operation for asked, _ in self.asked)

    async def _answer(self, operation: Operation.ValueType, request: Any) -> Result:
        self.asked.append((operation, request))
        script = self._scripts[operation]
        answer = script.popleft() if script else Result()
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, Result):
            answer = await answer()
        result = Result()
        result.CopyFrom(answer)
        if not script and result == Result():
            result.outcome = Outcome.OUTCOME_SUCCEEDED
            result.success = True
            result.amount_processed.CopyFrom(request.attempt.amount)
        result.processor_id = request.attempt.processor_id
        return result

    async def Authorize(self, request: pb.AuthorizeRequest, _: Any) -> pb.AuthorizeResponse:
        answer = await self._answer(Operation.OPERATION_AUTHORIZE, request)
        return pb.AuthorizeResponse(result=answer)

    async def Capture(self, request: pb.CaptureRequest, _: Any) -> pb.CaptureResponse:
        answer = await self._answer(Operation.OPERATION_CAPTURE, request)
        return pb.CaptureResponse(result=answer)

    async def Void(self, request: pb.VoidRequest, _: Any) -> pb.VoidResponse:
        return pb.VoidResponse(result=await self._answer(Operation.OPERATION_VOID, request))

    async def Refund(self, request: pb.RefundRequest, _: Any) -> pb.RefundResponse:
        answer = await self._answer(Operation.OPERATION_REFUND, request)
        return pb.RefundResponse(result=answer)

    async def Lookup(self, request: pb.LookupRequest, _: Any) -> pb.LookupResponse:
        answer = await self._answer(Operation.OPERATION_LOOKUP, request)
        return pb.LookupResponse(result=answer)

    async def ListProcessors(
        self, request: pb.ListProcessorsRequest, _: Any
    ) -> pb.ListProcessorsResponse:
        start = int(request.page_token or 0)
        beyond = start + self.page_size
        return pb.ListProcessorsResponse(
            processors=self.processors[start:beyond],
            next_page_token=str(beyond) if beyond < len(self.processors) else "",
        )


async def never() -> Result:
    """An answer that does not come."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")
