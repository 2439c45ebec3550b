"""`payment-cli up` in a folder of its own, and the shops that are there before anything hostile."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from google.protobuf.duration_pb2 import Duration
from grpc.aio import Channel
from payments.access.v1 import access_service_pb2 as access_pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_MERCHANT
from payments.config.v1.merchant_config_pb2 import AttemptLimit, AttemptLimits
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub

from services.runtime.rpc import connect
from services.runtime.run_file import NotRunning, RunFile
from tests.fuzz.world import World

_READY_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 60.0
_REPOSITORY: Final = Path(__file__).parents[2]
_OURS: Final = (
    "SWITCHYARD_",
    "DATABASE_",
    "GRPC_",
    "METRICS_",
    "KAFKA_",
    "LOG_",
    "STRIPE_",
    "OTEL_",
)
# Every call is traced, and told on standard output; nothing is dropped for want of room.
_TRACED: Final = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_TRACES_SAMPLER": "always_on",
    "OTEL_BSP_MAX_QUEUE_SIZE": "1000000",
}
_ENDLESS: Final = AttemptLimit(max_attempts=1_000_000, window=Duration(seconds=3600))


@dataclass(frozen=True)
class Platform:
    """A running platform, and where what it tells is kept."""

    process: asyncio.subprocess.Process
    run: RunFile
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def spans(self) -> Path:
        return self.folder / "spans"

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None


@asynccontextmanager
async def platform(folder: Path) -> AsyncIterator[Platform]:
    """Everything, from ready until it was told to stop."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    home, log = folder / "home", folder / "log"
    with log.open("ab") as errors, (folder / "spans").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "up", "--home", str(home)),
            *("--http-port", "0", "--grpc-port", "0", "--sandbox-port", "0"),
            env={**inherited, "LOG_LEVEL": "debug", **_TRACED},
            cwd=_REPOSITORY,
            stdout=output,
            stderr=errors,
        )
    try:
        run = await asyncio.wait_for(_ready(process, home, log), _READY_SECONDS)
        yield Platform(process, run, folder)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)


async def _ready(process: asyncio.subprocess.Process, home: Path, log: Path) -> RunFile:
    while True:
        try:
            return RunFile.read(home)
        except NotRunning:
            if process.returncode is not None:
                raise AssertionError(f"it did not start; {log} says why") from None
            await asyncio.sleep(0.1)


@asynccontextmanager
async def channel_to(run: RunFile) -> AsyncIterator[Channel]:
    async with connect(run.grpc_address, token=run.grpc_token) as channel:
        yield channel


async def settle(there: Platform) -> World:
    """Make what requests are to name."""
    run = there.run
    assert run.merchant is not None
    assert run.other_merchant is not None
    assert run.admin is not None
    assert run.http_url is not None
    async with channel_to(run) as channel:
        access = AccessServiceStub(channel)
        for merchant_id in (run.merchant["id"], run.other_merchant["id"]):
            await _let_try(channel, merchant_id)
        internal_id = await _merchant(access)
        await _configure_internal(channel, internal_id, run.merchant["id"])
        victims = [await _key(access, internal_id) for _ in range(3)]
        internal_key = await _key(access, internal_id)
    async with httpx.AsyncClient(base_url=run.http_url, timeout=60) as http:
        key = run.merchant["api_key"]
        return World(
            http_address=run.http_url.removeprefix("http://"),
            grpc_address=run.grpc_address,
            grpc_token=run.grpc_token,
            api_key=key,
            merchant_id=run.merchant["id"],
            admin_key=run.admin["api_key"],
            webhook_secret=run.stripe_webhook_secret or "",
            held_id=await _pay(http, key, capture_method="manual"),
            captured_id=await _pay(http, key),
            others_payment_id=await _pay(http, run.other_merchant["api_key"]),
            internal_merchant_id=internal_id,
            internal_payment_ids=(
                await _pay(http, internal_key.secret_value, capture_method="manual"),
                await _pay(http, internal_key.secret_value),
            ),
            internal_key_ids=tuple(each.api_key.id for each in victims),
        )


async def _let_try(channel: Channel, merchant_id: str) -> None:
    """Lift the bounds on how often somebody may try to pay."""
    stub = MerchantConfigServiceStub(channel)
    known = (await stub.GetConfig(GetConfigRequest(merchant_id=merchant_id))).config
    known.settings.attempt_limits.CopyFrom(AttemptLimits(per_user=_ENDLESS, per_api_key=_ENDLESS))
    await stub.PutConfig(
        PutConfigRequest(
            idempotency_key=str(uuid.uuid4()),
            merchant_id=merchant_id,
            expected_version=known.version,
            comment="fuzzing",
            settings=known.settings,
        )
    )


async def _configure_internal(channel: Channel, merchant_id: str, like: str) -> None:
    """Configure a merchant who pays at the simulated processor alone."""
    stub = MerchantConfigServiceStub(channel)
    settings = (await stub.GetConfig(GetConfigRequest(merchant_id=like))).config.settings
    kept = [each for each in settings.processors if each.processor_id == "simulated"]
    del settings.processors[:]
    settings.processors.extend(kept)
    await stub.PutConfig(
        PutConfigRequest(
            idempotency_key=str(uuid.uuid4()),
            merchant_id=merchant_id,
            comment="fuzzing",
            settings=settings,
        )
    )


async def _merchant(access: AccessServiceStub) -> str:
    made = await access.CreateMerchant(
        access_pb.CreateMerchantRequest(idempotency_key=str(uuid.uuid4()), name="Internal")
    )
    return made.merchant.id


async def _key(access: AccessServiceStub, merchant_id: str) -> access_pb.CreateApiKeyResponse:
    return await access.CreateApiKey(
        access_pb.CreateApiKeyRequest(
            idempotency_key=str(uuid.uuid4()),
            merchant_id=merchant_id,
            name="fuzzing",
            role=ROLE_MERCHANT,
        )
    )


async def _pay(http: httpx.AsyncClient, api_key: str, **changed: Any) -> str:
    answer = await order(http, api_key, **changed)
    assert answer["status"] in ("captured", "authorized"), answer
    return str(answer["id"])


async def order(http: httpx.AsyncClient, api_key: str, **changed: Any) -> Mapping[str, Any]:
    """Pay in canonical form, and read what is told."""
    body = {"amount": 1250, "currency": "USD", "method": "card", "payment_method": "pm_card_visa"}
    headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": str(uuid.uuid4())}
    response = await http.post("/api/v1/payments", json={**body, **changed}, headers=headers)
    assert response.status_code == 201, response.text
    told: Mapping[str, Any] = response.json()
    return told
