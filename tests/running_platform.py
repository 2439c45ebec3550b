"""`payment-cli up` as a process of its own, in a folder of its own, to be loaded or fuzzed."""

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
from payments.config.v1.merchant_config_pb2 import AttemptLimit, AttemptLimits
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub

from services.runtime.rpc import connect
from services.runtime.run_file import NotRunning, RunFile

ACCOUNTS: Final = {"stripe": "sk_test_switchyard"}
"""The sandbox's account behind each processor."""
_READY_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 60.0
_REPOSITORY: Final = Path(__file__).parents[1]
_OURS: Final = (
    *("SWITCHYARD_", "DATABASE_", "GRPC_", "METRICS_", "KAFKA_", "LOG_", "STRIPE_", "OTEL_"),
    "WEBHOOK_",
)
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
async def platform(
    folder: Path, *, module: str = "cli", **variables: str
) -> AsyncIterator[Platform]:
    """Everything, from ready until it was told to stop."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    home, log = folder / "home", folder / "log"
    with log.open("ab") as errors, (folder / "spans").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "up", "--home", str(home)),
            *("--http-port", "0", "--grpc-port", "0", "--sandbox-port", "0"),
            env={**inherited, **variables},
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


async def let_try(channel: Channel, merchant_id: str) -> None:
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


async def order(http: httpx.AsyncClient, api_key: str, **changed: Any) -> Mapping[str, Any]:
    """Pay in canonical form, and read what is told."""
    body = {"amount": 1250, "currency": "USD", "method": "card", "payment_method": "pm_card_visa"}
    headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": str(uuid.uuid4())}
    response = await http.post("/api/v1/payments", json={**body, **changed}, headers=headers)
    assert response.status_code == 201, response.text
    told: Mapping[str, Any] = response.json()
    return told
