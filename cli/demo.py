"""payment-cli demo: starts Switchyard from nothing and shows what it can do, step by step.

Everything goes over real gRPC to a real process on a real PostgreSQL, which is killed on the way.
A step that is not what it should be ends the demo with exit code 1.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from grpc.aio import Channel
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from payments.core.v1.money_pb2 import Money
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.integrity_pb2 import IntegrityState
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.ledger.v1.transaction_pb2 import EntryDraft

from services.kernel import money
from services.kernel.errors import Conflict, InvalidArgument, SwitchyardError
from services.runtime.rpc import connect, typed_errors
from services.runtime.run_file import NotRunning, RunFile

_READY_SECONDS: Final = 60.0


class DemoFailed(click.ClickException):
    """A step showed something else than it should."""


@click.command()
def demo() -> None:
    """Start everything in a folder of its own, show what it does, and clean up."""
    with tempfile.TemporaryDirectory(prefix="switchyard-demo-") as folder:
        # The database runs under an account of its own when root starts it.
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        _step("start: PostgreSQL, migrations and the services in one process, from nothing")
        with _running(home) as process:
            asyncio.run(_show_health(home))
            asyncio.run(_show_ledger(home))
            _step("crash: the process is killed (kill -9), and started again")
            process.send_signal(signal.SIGKILL)
            process.wait()
        with _running(home):
            asyncio.run(_show_survival(home))
    click.secho("\nEverything was as it should be.", bold=True)


@contextmanager
def _running(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    started_at = time.monotonic()
    command = [sys.executable, "-m", "cli", "serve", "--home", str(home), "--grpc-port", "0"]
    log = home.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 -- ourselves
    try:
        while not _answers(home, process.pid):
            if process.poll() is not None or time.monotonic() - started_at > _READY_SECONDS:
                raise DemoFailed(f"it did not start:\n{log.read_text()}")
            time.sleep(0.05)
        _say(f"ready after {time.monotonic() - started_at:.1f} s")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def _answers(home: Path, pid: int) -> bool:
    try:
        return RunFile.read(home).pid == pid
    except NotRunning:
        return False


def _channel(home: Path) -> Channel:
    run = RunFile.read(home)
    return connect(run.grpc_address, token=run.grpc_token)


async def _show_health(home: Path) -> None:
    _step("health: asked over gRPC, as Kubernetes would")
    async with _channel(home) as channel:
        # The published types know the blocking stub alone.
        health: Any = HealthStub(channel)
        for service in ("", "payments.ledger.v1.LedgerService"):
            answer = await health.Check(HealthCheckRequest(service=service))
            state = HealthCheckResponse.ServingStatus.Name(answer.status)
            _expect(state == "SERVING", f"{service or 'the whole process'}: {state}")


async def _show_ledger(home: Path) -> None:
    async with _channel(home) as channel:
        ledger = LedgerServiceStub(channel)
        _step("ledger: a sale of 10.00 USD, of which the platform keeps 0.30")
        posted = await ledger.PostTransaction(_sale("order-1", 1000))
        for entry in posted.transaction.entries:
            amount = money.Money(entry.amount.amount_minor, money.Currency(entry.amount.currency))
            _say(f"{entry.account:<10}{amount!s:>12}")
        _step("ledger: the same request once more, as after a lost reply")
        again = await ledger.PostTransaction(_sale("order-1", 1000))
        _expect(again.replayed, "answered with the first transaction; nothing was written")
        _step("ledger: what must not happen is refused")
        other_body, unbalanced = _sale("order-1", 2000), _sale("order-2", 1000)
        unbalanced.entries[0].amount.amount_minor = -999
        await _expect_refusal(ledger, other_body, Conflict)
        await _expect_refusal(ledger, unbalanced, InvalidArgument)


async def _expect_refusal(
    ledger: LedgerServiceStub,
    request: pb.PostTransactionRequest,
    kind: type[SwitchyardError],
) -> None:
    try:
        with typed_errors():
            await ledger.PostTransaction(request)
    except SwitchyardError as error:
        _expect(isinstance(error, kind), f"refused: {error.message}")
    else:
        raise DemoFailed("it was not refused")


async def _show_survival(home: Path) -> None:
    _step("after the crash: what was answered is there, and nobody tampered with it")
    async with _channel(home) as channel:
        ledger = LedgerServiceStub(channel)
        request = pb.GetBalanceRequest(account="MERCHANT", currency="USD")
        balance = (await ledger.GetBalance(request)).balance
        _expect(balance.amount.amount_minor == 970, "MERCHANT holds 9.70 USD, added up just now")
        async for report in ledger.VerifyIntegrity(pb.VerifyIntegrityRequest()):
            verdict = report.verdict
        _expect(verdict.state == IntegrityState.INTEGRITY_STATE_INTACT, "the journal is intact")
        _expect(
            all(total.amount_minor == 0 for total in verdict.sums),
            "all entries together sum to zero",
        )


def _sale(key: str, amount_minor: int) -> pb.PostTransactionRequest:
    legs = (("CUSTOMER", -amount_minor), ("MERCHANT", amount_minor - 30), ("PLATFORM", 30))
    return pb.PostTransactionRequest(
        idempotency_key=key,
        reference_id="order 1",
        entries=[
            EntryDraft(account=account, amount=Money(amount_minor=minor, currency="USD"))
            for account, minor in legs
        ],
    )


def _step(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _say(text: str) -> None:
    click.echo(f"  {text}")


def _expect(holds: bool, text: str) -> None:
    if not holds:
        raise DemoFailed(f"this does not hold: {text}")
    _say(f"{click.style('ok', fg='green')} {text}")
