"""The rounds: the platform in a process of its own, paid over HTTP, and its baselines in turn."""

import json
import os
import statistics
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from payments.access.v1.access_service_pb2 import CreateApiKeyRequest, CreateMerchantRequest
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_MERCHANT

from bench.http.generator import Connections, connected, request
from bench.payments import load
from bench.payments.load import Figure, Pay, Round
from bench.payments.rows import RowSizes, drained, run_pgbench
from bench.payments.serving import Process, cpu_seconds, peak_memory_mb, serving
from bench.payments.shop import open_shop
from services.runtime.database import Database
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate
from services.runtime.rpc import connect
from services.runtime.run_file import RunFile

CONNECTIONS: Final = 64
_PAYMENTS: Final = "POST /payments"
_QUIET_A_SECOND: Final = 50
_NOTHING: Final = "GET /healthz"
_PGBENCH_CLIENTS: Final = 32
_PGBENCH: Final = f"pgbench, the same rows, {_PGBENCH_CLIENTS} connections"
_WARM_UP_SECONDS: Final = 2.0

BASELINES: Final = {_NOTHING: "x healthz", _PGBENCH: "x pgbench"}


@dataclass
class Report:
    """Everything that a run has found."""

    load_average: float
    """Of the last minute before the run: what else the machine was doing."""
    figures: list[Figure] = field(default_factory=list)
    service_memory_mb: float = 0.0
    service_cpu_ms: float = 0.0
    """The processor time of the platform's process for each payment, when it is busy."""


@dataclass
class _Bench:
    run: RunFile
    process: Process
    api_key: str
    database: Database
    seconds: float
    connections: int
    cpu_ms: list[float] = field(default_factory=list)
    """The processor time for a payment, of each round at full load."""

    async def paying(self) -> Round:
        """As many payments as there are connections, and then what they have left to be done."""
        async with connected(self._url, self.connections) as connections:
            pay = self._pay(connections)
            await load.at_once(pay, callers=self.connections, seconds=_WARM_UP_SECONDS)
            await drained(self.database)
            before, began = cpu_seconds(self.process), connections.answers
            found = await load.at_once(pay, callers=self.connections, seconds=self.seconds)
            found = replace(found, drained_seconds=await drained(self.database))
            used_seconds = cpu_seconds(self.process) - before
            self.cpu_ms.append(used_seconds * 1000 / (connections.answers - began))
        return found

    async def paying_quietly(self) -> Round:
        """So few payments that none waits for another: what the platform itself takes."""
        async with connected(self._url, self.connections) as connections:
            pay = self._pay(connections)
            await load.at_once(pay, callers=4, seconds=_WARM_UP_SECONDS)
            await drained(self.database)
            found = await load.paced(pay, a_second=_QUIET_A_SECOND, seconds=self.seconds)
        return replace(found, drained_seconds=await drained(self.database))

    async def doing_nothing(self) -> Round:
        asked = request("GET", "/healthz")
        async with connected(self._url, self.connections) as connections:

            async def ask() -> None:
                await connections.answered(asked, 200)

            return await load.at_once(ask, callers=self.connections, seconds=self.seconds)

    async def pgbench(self) -> Round:
        sizes = await RowSizes.measured(self.database)
        return await run_pgbench(
            self.run.database_url, sizes, clients=_PGBENCH_CLIENTS, seconds=self.seconds
        )

    @property
    def _url(self) -> str:
        assert self.run.http_url is not None, "it was told to answer HTTP"
        return self.run.http_url

    def _pay(self, connections: Connections) -> Pay:
        async def pay() -> None:
            number = uuid.uuid4().hex
            body = {
                "amount": 10_000,
                "currency": "USD",
                "method": "card",
                "payment_method": "pm_card_visa",
                # A user may try to pay but so often.
                "user_id": f"user-{number}",
            }
            headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": number}
            order = request("POST", "/api/v1/payments", json.dumps(body).encode(), headers)
            answer = await connections.answered(order, 201)
            assert b'"status":"captured"' in answer, answer

        return pay


async def measure(folder: Path, *, seconds: float, rounds: int, connections: int) -> Report:
    """Every round of everything, in turn."""
    report = Report(load_average=os.getloadavg()[0])
    server = await EmbeddedPostgres.start(folder / "home")
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        url = server.application_url
        database = await Database.connect(url, application_name="bench", pool_size=2)
        with serving(folder, url, "--http-port", "0") as (run, process):
            api_key = await _merchant(run)
            reached = replace(run, database_url=url)
            bench = _Bench(reached, process, api_key, database, seconds, connections)
            report.figures = await _in_turn(bench, rounds)
            report.service_memory_mb = peak_memory_mb(process)
            report.service_cpu_ms = round(statistics.median(bench.cpu_ms), 2)
        await database.close()
    finally:
        await server.stop()
    return report


async def _in_turn(bench: _Bench, rounds: int) -> list[Figure]:
    quiet = f"{_PAYMENTS}, {_QUIET_A_SECOND}/s"
    chosen: dict[str, Callable[[], Awaitable[Round]]] = {
        f"{_PAYMENTS}, {bench.connections} connections": bench.paying,
        _NOTHING: bench.doing_nothing,
        _PGBENCH: bench.pgbench,
        quiet: bench.paying_quietly,
    }
    found: dict[str, list[Round]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, measured in chosen.items():
            found[name].append(await measured())
    return [Figure.of(name, each, is_paced=name == quiet) for name, each in found.items()]


async def _merchant(run: RunFile) -> str:
    """A merchant of its own; the key to pay with."""
    async with connect(run.grpc_address, token=run.grpc_token) as channel:
        access = AccessServiceStub(channel)
        made = await access.CreateMerchant(
            CreateMerchantRequest(idempotency_key=str(uuid.uuid4()), name="Bench")
        )
        await open_shop(channel, made.merchant.id)
        shown = await access.CreateApiKey(
            CreateApiKeyRequest(
                idempotency_key=str(uuid.uuid4()),
                merchant_id=made.merchant.id,
                name="bench",
                role=ROLE_MERCHANT,
            )
        )
        return shown.secret_value
