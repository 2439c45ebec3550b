"""The load: callers who do all that people do with payments, and a meter of how long it takes."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Final, TypeVar

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState

from services.kernel.errors import SwitchyardError
from services.runtime.rpc import typed_errors
from tests.faults.scene import Scene
from tests.orchestrator.orders import about, execution
from tests.torture.outside import ACCOUNTS
from tests.torture.traffic import BAD, GOOD, Caller

CALLERS: Final = 6
_PAUSE_SECONDS: Final = 0.05
_ENDING_SECONDS: Final = 60.0
_MEASURED_MIN: Final = 1

WAYS: Final = ("at once", "by intent")

T = TypeVar("T")


@dataclass
class Meter:
    """Pays in the two ways there are, one payment after another, and notes how long each took."""

    scene: Scene
    phase: str = "undisturbed"
    seconds: Mapping[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By the phase in which a payment began, and by the way it was paid."""
    failures: Mapping[str, list[SwitchyardError]] = field(default_factory=lambda: defaultdict(list))
    """By phase, what was answered before the answer that counts."""
    _measured: asyncio.Event = field(default_factory=asyncio.Event)

    async def measure(self, phase: str, seconds: float) -> None:
        """Let a phase last so long, and until there is something to say of it."""
        self.phase = phase
        await asyncio.sleep(seconds)
        while any(len(self.seconds[phase, way]) < _MEASURED_MIN for way in WAYS):
            self._measured.clear()
            await self._measured.wait()

    async def pay_until(self, over: asyncio.Event, way: str) -> None:
        """One payment after another, each in this way."""
        pay = {"at once": self._execute, "by intent": self._confirm}[way]
        number = 0
        while not over.is_set():
            number += 1
            phase, began_at = self.phase, time.monotonic()
            await pay(f"meter {way} {number}")
            self.seconds[phase, way].append(time.monotonic() - began_at)
            self._measured.set()

    async def _execute(self, key: str) -> None:
        request = execution(key, processors=tuple(ACCOUNTS), user_id=key)
        answer = await self._insist(lambda stub: stub.ExecutePlan(request))
        self.scene.told.note("pay at once", answer)
        self._check(answer.payment)

    async def _confirm(self, key: str) -> None:
        context = execution(key, processors=tuple(ACCOUNTS), user_id=key).context
        creation = pb.CreatePaymentRequest(idempotency_key=key, context=context)
        created = await self._insist(lambda stub: stub.CreatePayment(creation))
        request = pb.ConfirmPaymentRequest(
            **about(created.payment, f"{key} confirm"), response_mode=pb.RESPONSE_MODE_WAIT
        )
        answer = await self._insist(lambda stub: stub.ConfirmPayment(request))
        self.scene.told.note("pay by intent", answer)
        self._check(answer.payment)

    def _check(self, payment: Payment) -> None:
        if payment.state != PaymentState.PAYMENT_STATE_CAPTURED:
            self.scene.told.problems.append(f"{payment.id} was not captured")

    async def _insist(self, call: Callable[[OrchestratorServiceStub], Awaitable[T]]) -> T:
        while True:
            try:
                with typed_errors():
                    return await call(OrchestratorServiceStub(self.scene.channel))
            except SwitchyardError as error:
                self.failures[self.phase].append(error)
            await asyncio.sleep(_PAUSE_SECONDS)

    def told(self) -> Sequence[str]:
        """Its figures, a line for each phase and way."""
        return [
            f"{phase}, paid {way}: {len(seconds)} payments, median {median(seconds) * 1000:.0f} ms,"
            f" p95 {percentile_95(seconds) * 1000:.0f} ms, longest {max(seconds) * 1000:.0f} ms"
            for (phase, way), seconds in sorted(self.seconds.items())
            if seconds
        ]


def percentile_95(seconds: Sequence[float]) -> float:
    """What nineteen of twenty took at most."""
    return seconds[0] if len(seconds) == 1 else quantiles(seconds, n=20, method="inclusive")[-1]


class Payer(Caller):
    """Pays where no webhook tells what banks and customers do: so they do nothing of their own."""

    def _card(self) -> str:
        return self._chance.choices((GOOD, BAD), weights=(85, 15))[0]

    async def _challenged(self) -> None:
        await self._automatic()


def _payer(scene: Scene, name: str, chance: random.Random) -> Payer:
    async def nobody_asks(page: str) -> None:
        raise AssertionError(f"no bank asks for its customer: {page}")

    return Payer(
        name, scene, scene.told, chance, processors=tuple(ACCOUNTS), authenticate=nobody_asks
    )


@asynccontextmanager
async def load(scene: Scene, *, seed: int = 1) -> AsyncIterator[Meter]:
    """People pay for as long as this lasts; each brings what was begun to its end."""
    over, meter = asyncio.Event(), Meter(scene)
    callers = [_payer(scene, f"caller-{n}", random.Random(seed + n)) for n in range(CALLERS)]
    paying = [asyncio.create_task(each.pay_until(over)) for each in callers]
    paying += [asyncio.create_task(meter.pay_until(over, way)) for way in WAYS]
    try:
        yield meter
        over.set()
        _, stuck = await asyncio.wait(paying, timeout=_ENDING_SECONDS)
        assert not stuck, f"{len(stuck)} callers still have no answer"
    finally:
        for each in paying:
            each.cancel()
    await asyncio.gather(*paying)
