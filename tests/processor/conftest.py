"""The processors that tests share: over a sandbox in the test's own loop, or in the process."""

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)

from sandbox.server import Options, Sandbox
from services.kernel.clock import Clock, SystemClock
from services.kernel.context import PaymentMethod
from services.processor.adapters import ADAPTERS
from services.processor.adapters.kind import Surroundings
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.adapters.simulated.faults import Fault
from services.processor.domain.attempt import Operation
from services.processor.domain.profile import Profile
from services.processor.rpc import ProcessorServicer
from services.processor.service.adapter import Adapter, Processor
from services.processor.service.processors import Processors
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.processor.house import House

# Faults strike where money would move; creating an unconfirmed intent moves none.
_SANDBOX_OPERATIONS = {
    "authorize": "payment_intents.confirm",
    "charge": "payment_intents.confirm",
    "capture": "payment_intents.capture",
    "void": "payment_intents.cancel",
    "refund": "refunds.create",
}
_SANDBOX_FAULTS = {
    "rate_limited": {"kind": "rate_limit"},
    "server_error": {"kind": "server_error"},
    "server_error_after": {"kind": "server_error", "when": "after"},
    "reply_lost": {"kind": "reply_lost"},
    "hang": {"kind": "hang"},
    "reset": {"kind": "reset", "when": "after"},
    "garbage": {"kind": "garbage"},
    "garbage_html": {"kind": "garbage", "form": "html"},
    "garbage_truncated": {"kind": "garbage", "form": "truncated"},
    "garbage_bytes": {"kind": "garbage", "form": "bytes"},
    "wrong_amount": {"kind": "wrong_amount"},
    "wrong_currency": {"kind": "wrong_currency"},
}


class ScriptedFaults:
    """Faults that a test orders; what it has not ordered goes well."""

    def __init__(self) -> None:
        self._ordered: dict[str, list[Fault]] = defaultdict(list)

    def draw(self, operation: Operation, key: str) -> Fault | None:
        ordered = self._ordered[operation]
        return ordered.pop(0) if ordered else None

    async def strike(self, operation: str, fault: str, count: int = 1) -> None:
        operation = "authorize" if operation == "charge" else operation
        self._ordered[operation] += [Fault(fault)] * count


@asynccontextmanager
async def behind_door(
    processors: Sequence[Processor], clock: Clock | None = None
) -> AsyncIterator[ProcessorServiceStub]:
    """The stub of a ProcessorService with these processors."""
    service = Processors(processors, clock or SystemClock())
    registry = Registry(Middleware(Telemetry.create("test")))
    registry.register(add_ProcessorServiceServicer_to_server, ProcessorServicer(service))
    async with connect_in_process(registry) as channel:
        yield ProcessorServiceStub(channel)
    await service.close()


def processor(name: str, adapter: Adapter, *, methods: Sequence[PaymentMethod]) -> Processor:
    kind = ADAPTERS.get(name) or ADAPTERS["stripe"]
    profile = Profile(
        id=name, adapter=name, live=False, methods=tuple(methods), key_window=kind.key_window
    )
    return Processor(profile, adapter)


def opened(
    name: str, base_url: str, key: str = "sk_test_merchant", *, named: str | None = None
) -> Processor:
    """A processor over Stripe's API at an address."""
    kind = ADAPTERS[name]
    options = kind.options.model_validate({"api_key_env": "KEY", "base_url": base_url})
    made = kind.make(options, Surroundings(clock=SystemClock(), environment={"KEY": key}))
    return processor(named or name, made.adapter, methods=kind.methods)


@dataclass(frozen=True)
class Outside:
    """A sandbox that is running, and its control API."""

    url: str
    http: httpx.AsyncClient

    async def strike(self, operation: str, fault: str, count: int = 1) -> None:
        """Order a fault, by the operation of an attempt or by the sandbox's own name for one."""
        name = _SANDBOX_OPERATIONS.get(operation, operation)
        await self.order("faults", operation=name, count=count, **_SANDBOX_FAULTS[fault])

    async def order(self, path: str, **order: Any) -> dict[str, Any]:
        answer = await self.http.post(path, json=order)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def record(self, *lists: str) -> dict[str, Any]:
        """The outside truth."""
        answer = await self.http.get("record", params={"lists": ",".join(lists)})
        body: dict[str, Any] = answer.json()
        return body


@asynccontextmanager
async def _outside(folder: Path) -> AsyncIterator[Outside]:
    sandbox = await Sandbox.start(Options(data=folder / "sandbox", port=0, seed=7))
    url = f"http://127.0.0.1:{sandbox.http.port}"
    async with httpx.AsyncClient(base_url=f"{url}/_sandbox/", timeout=30) as client:
        yield Outside(url, client)
    await sandbox.close()


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async with _outside(tmp_path) as running:
        yield running


@pytest.fixture
async def stripe_house(outside: Outside) -> AsyncIterator[House]:
    """The Stripe adapter over the sandbox."""
    async with behind_door([opened("stripe", outside.url)]) as stub:
        yield House(stub, "stripe", "card", outside.strike)


@asynccontextmanager
async def _over_sandbox(name: str, method: str, folder: Path) -> AsyncIterator[House]:
    async with _outside(folder) as outside, behind_door([opened(name, outside.url)]) as stub:
        yield House(stub, name, method, outside.strike)


@asynccontextmanager
async def _simulated() -> AsyncIterator[House]:
    faults = ScriptedFaults()
    adapter = SimulatedAdapter(SystemClock(), faults)
    one = processor("simulated", adapter, methods=tuple(PaymentMethod))
    async with behind_door([one]) as stub:
        yield House(stub, "simulated", "card", faults.strike)


@asynccontextmanager
async def _test_mode() -> AsyncIterator[House]:
    key = os.environ["STRIPE_TEST_API_KEY"]
    assert key.startswith(("sk_test_", "rk_test_")), "STRIPE_TEST_API_KEY is no test-mode key"
    async with behind_door([opened("stripe", "https://api.stripe.com", key)]) as stub:
        yield House(stub, "stripe", "card", event_delay_seconds=5)


_KINDS = ["stripe", "apple_pay", "simulated"]
if os.environ.get("STRIPE_TEST_API_KEY"):
    _KINDS.append("stripe_test_mode")


@pytest.fixture(params=_KINDS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """Each adapter in turn."""
    match request.param:
        case "simulated":
            opening = _simulated()
        case "stripe_test_mode":
            opening = _test_mode()
        case "apple_pay":
            opening = _over_sandbox("apple_pay", "apple_pay", tmp_path)
        case name:
            opening = _over_sandbox(name, "card", tmp_path)
    async with opening as found:
        yield found
