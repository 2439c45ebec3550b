"""The running system that HTTP tests share, and merchants who use it."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from payments.access.v1 import access_service_pb2 as access_pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_ADMIN, ROLE_MERCHANT
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)

from gateway.server import HttpServer, serve
from services.kernel.clock import SystemClock
from services.runtime.settings import load_settings
from services.system import System, open_system
from tests.gateway.http.declared import assert_declared

_PROCESSORS = """
[[processors]]
id = "simulated"
adapter = "simulated"

[[processors]]
id = "silent"
adapter = "simulated"
options = { faults_percent = { hang = 100 } }

[[processors]]
id = "euro"
adapter = "simulated"
currencies = ["EUR"]

[[processors]]
id = "slow"
adapter = "simulated"
options = { latency_ms = 700 }
"""
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back, read."""

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str

    @property
    def code(self) -> str:
        return str(self.body["code"])


class Shop:
    """A caller with a key, whose every order has an idempotency key of its own."""

    def __init__(self, http: httpx.AsyncClient, merchant_id: str, api_key: str) -> None:
        self.merchant_id = merchant_id
        self.api_key = api_key
        self._http = http

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        shown = {"Authorization": f"Bearer {self.api_key}", **(headers or {})}
        if method == "POST" and key != "":
            shown["Idempotency-Key"] = key or str(uuid.uuid4())
        if content is None and body is not None:
            content = json.dumps(body).encode()
        response = await self._http.request(
            method, f"/api/v1{path}", content=content, headers=shown
        )
        answer = told(response)
        assert_declared(method, f"/api/v1{path}", answer)
        return answer

    async def get(self, path: str) -> Answer:
        return await self.send("GET", path)

    async def post(self, path: str, body: object = None, **how: Any) -> Answer:
        return await self.send("POST", path, {} if body is None else body, **how)

    async def pay(self, amount: object = 1250, **changed: Any) -> JsonObject:
        """A payment that goes well."""
        answer = await self.post("/payments", order(amount, **changed))
        assert answer.status == 201, answer.text
        payment: JsonObject = answer.body
        return payment


def order(amount: object = 1250, **changed: Any) -> JsonObject:
    """A payment request in canonical form."""
    return {
        "amount": amount,
        "currency": "USD",
        "method": "card",
        "payment_method": "pm_card_visa",
        **changed,
    }


def told(response: httpx.Response) -> Answer:
    is_json = "json" in response.headers.get("content-type", "")
    return Answer(
        response.status_code,
        response.headers,
        response.json() if is_json else None,
        response.text,
    )


class GatewayClock(SystemClock):
    """The gateway's own clock, which forgets what it was told when it is put forward."""

    def __init__(self) -> None:
        self._ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead_seconds

    def step(self, *, seconds: float) -> None:
        self._ahead_seconds += seconds


@dataclass
class Stage:
    """A running system with its gateway."""

    system: System
    server: HttpServer
    http: httpx.AsyncClient
    clock: "GatewayClock"

    async def merchant(self, *processors: str, scopes: tuple[str, ...] = ()) -> Shop:
        """A new merchant with a configuration and a key."""
        merchant_id = await self.unconfigured_merchant()
        await self.configure(merchant_id, processors or ("simulated",))
        return await self.key_of(merchant_id, scopes)

    async def unconfigured_merchant(self) -> str:
        access = AccessServiceStub(self.system.channel)
        made = await access.CreateMerchant(
            access_pb.CreateMerchantRequest(idempotency_key=str(uuid.uuid4()), name="Shop")
        )
        return made.merchant.id

    async def key_of(self, merchant_id: str, scopes: tuple[str, ...] = ()) -> Shop:
        """A key of a merchant, or without one of an operator."""
        shown = await AccessServiceStub(self.system.channel).CreateApiKey(
            access_pb.CreateApiKeyRequest(
                idempotency_key=str(uuid.uuid4()),
                merchant_id=merchant_id,
                name="test",
                role=ROLE_MERCHANT if merchant_id else ROLE_ADMIN,
                scopes=scopes,
            )
        )
        return Shop(self.http, merchant_id, shown.secret_value)

    async def operator(self) -> Shop:
        return await self.key_of("")

    async def rows(self) -> dict[str, int]:
        """How many rows there are of what a payment could leave behind."""
        async with self.system.database.connection() as connection:
            tables = await connection.fetch(
                "select schemaname as schema, tablename as name from pg_tables"
                " where schemaname in ('payments', 'ledger', 'messaging', 'webhooks')"
            )
            counts = {}
            for table in tables:
                name = f"{table['schema']}.{table['name']}"
                (row,) = await connection.fetch(f"select count(*) as rows from {name}")
                counts[name] = int(row["rows"])
            return counts

    async def configure(
        self,
        merchant_id: str,
        processors: tuple[str, ...],
        *,
        expected_version: int = 0,
    ) -> None:
        """Give a merchant its next configuration."""
        settings = config_pb.MerchantSettings(
            default_currency="USD",
            fees=config_pb.FeeSchedule(
                basis_points=290, fixed=[Money(amount_minor=30, currency="USD")]
            ),
            capture_method=CAPTURE_METHOD_AUTOMATIC,
            split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
            processors=[config_pb.ProcessorPreference(processor_id=each) for each in processors],
        )
        await MerchantConfigServiceStub(self.system.channel).PutConfig(
            PutConfigRequest(
                idempotency_key=str(uuid.uuid4()),
                merchant_id=merchant_id,
                expected_version=expected_version,
                comment="opening day",
                settings=settings,
            )
        )


@asynccontextmanager
async def open_stage(database_url: str, home: Path, **given: Any) -> AsyncIterator[Stage]:
    """Every service in this process, and HTTP on a port of its own."""
    processors_file = home / "processors.toml"
    processors_file.write_text(_PROCESSORS)
    settings = load_settings(
        database_url=database_url,
        switchyard_home=home,
        processors_file=processors_file,
        processor_timeout_seconds=1,
        http_port=0,
        **given,
    )
    async with open_system(settings) as system:
        clock = GatewayClock()
        server = await serve(system.channel, settings, system.telemetry, clock=clock)
        try:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
                yield Stage(system, server, http, clock)
        finally:
            await server.stop(drain_seconds=5)
