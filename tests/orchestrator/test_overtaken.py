"""A process that was overtaken, and what it still says and does when it is back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.result.v1.result_pb2 import Result

from services.kernel.outcome import ErrorCode as Code
from tests.orchestrator.conftest import House, running_house
from tests.orchestrator.orders import execution, succeeded
from tests.router.attempts import failed
from tests.stand_in_processors import StandInProcessors

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
LOOKUP = Operation.OPERATION_LOOKUP


@dataclass
class Held:
    """An answer that a test keeps back."""

    answer: Result
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def script(self) -> Callable[[], Awaitable[Result]]:
        async def answered() -> Result:
            self.asked.set()
            await self.told.wait()
            return self.answer

        return answered

    async def until_asked(self) -> None:
        async with asyncio.timeout(60):
            await self.asked.wait()


def _processors() -> StandInProcessors:
    return StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events


async def _expire(house: House) -> None:
    async with house.database.connection() as connection:
        await connection.execute("update payments.payments set lease_until = now()")


async def test_who_was_overtaken_sends_nothing_that_another_is_sending(
    application_url: str,
) -> None:
    """Its own answer is known by then, so that saving it would have changed nothing."""
    first_hold, capture = Held(succeeded("pi_1")), Held(succeeded("pi_1"))
    slow, others = _processors(), _processors()
    slow.script(AUTHORIZE, first_hold.script)
    slow.script(CAPTURE, *[failed(Code.NETWORK_FAILURE) for _ in range(3)])
    others.script(LOOKUP, succeeded("pi_1"))
    others.script(CAPTURE, capture.script)
    async with (
        running_house(application_url, slow, recovers=False) as first,
        running_house(application_url, others),
    ):
        call = asyncio.ensure_future(first.stub.ExecutePlan(execution(), timeout=120))
        await first_hold.until_asked()
        await _expire(first)
        await capture.until_asked()
        first_hold.told.set()
        await asyncio.sleep(1)
        assert (slow.count(CAPTURE), slow.count(LOOKUP)) == (0, 0)
        capture.told.set()
        answer = await call
        assert answer.payment.state == PaymentState.PAYMENT_STATE_CAPTURED
        assert await first.count("attempts") == 2
