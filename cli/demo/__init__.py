"""payment-cli demo: starts Switchyard from nothing and shows what it can do, step by step.

Everything goes over real gRPC to a real process on a real PostgreSQL, which is killed on the way.
A step that is not what it should be ends the demo with exit code 1.
"""

import asyncio
import signal
import tempfile
from pathlib import Path
from typing import Any, Final

import click
from grpc.aio import Channel
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from payments.orchestrator.v1.payment_pb2 import Payment

from cli.demo.ledger import show_integrity, show_ledger
from cli.demo.payment import Shop, show_a_decline, show_a_payment, show_a_repeat, show_the_plan
from cli.demo.stage import channel_to, expect, running, step
from services.runtime.rpc import typed_errors
from services.runtime.run_file import RunFile

_SERVICES: Final = (
    "",
    "payments.orchestrator.v1.OrchestratorService",
    "payments.ledger.v1.LedgerService",
)


@click.command()
def demo() -> None:
    """Start everything in a folder of its own, show what it does, and clean up."""
    with tempfile.TemporaryDirectory(prefix="switchyard-demo-") as folder:
        # The database runs under an account of its own when root starts it.
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        step("start: PostgreSQL, migrations and the services in one process, from nothing")
        shop = Shop.new()
        with running(home) as process:
            with typed_errors():
                paid = asyncio.run(_show_life(home, shop))
            step("crash: the process is killed (kill -9), and started again")
            process.send_signal(signal.SIGKILL)
            process.wait()
        with running(home), typed_errors():
            asyncio.run(_show_survival(home, shop, paid))
    click.secho("\nEverything was as it should be.", bold=True)


async def _show_life(home: Path, shop: Shop) -> Payment:
    async with channel_to(home) as channel:
        await _show_health(channel)
        plan = await show_the_plan(channel, shop)
        database_url = RunFile.read(home).database_url
        paid = await show_a_payment(channel, shop, plan, database_url)
        await show_a_repeat(channel, shop, plan, paid)
        await show_a_decline(channel, shop, database_url)
        await show_ledger(channel)
        return paid


async def _show_health(channel: Channel) -> None:
    step("health: asked over gRPC, as Kubernetes would")
    # The published types know the blocking stub alone.
    health: Any = HealthStub(channel)
    for service in _SERVICES:
        answer = await health.Check(HealthCheckRequest(service=service))
        state = HealthCheckResponse.ServingStatus.Name(answer.status)
        expect(state == "SERVING", f"{service or 'the whole process'}: {state}")


async def _show_survival(home: Path, shop: Shop, paid: Payment) -> None:
    step("after the crash: what was answered is there, and nobody tampered with it")
    async with channel_to(home) as channel:
        again = await shop.pay(channel, await shop.plan(channel))
        expect(
            again.replayed and again.payment == paid,
            "the payment's key still gets its first answer",
        )
        await show_integrity(channel)
