"""What the torture is played on: a sandbox with two accounts, a merchant, and a witness's book."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from grpc.aio import Channel
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)

from oracle import Record, read_sandbox
from services.runtime.database import Connection
from tests.conftest import DatabaseUrls
from tests.plan_builder.orders import MERCHANT
from tests.torture.fleet import TOKEN

ACCOUNTS: Final = {"stripe_one": "sk_test_torture_one", "stripe_two": "sk_test_torture_two"}
_KEY_NAMES: Final = {"stripe_one": "TORTURE_KEY_ONE", "stripe_two": "TORTURE_KEY_TWO"}
_READY: Final = "sandbox: ready on "
_LEASE_SECONDS: Final = 1
_PROCESSOR_SECONDS: Final = 2
_OURS: Final = ("SWITCHYARD_", "DATABASE_", "GRPC_", "METRICS_", "KAFKA_", "LOG_", "STRIPE_")

# What goes wrong at the processor now and then, beside what goes wrong here.
_FAULTS: Final[Sequence[Mapping[str, Any]]] = (
    {"kind": "reply_lost", "operation": "payment_intents.*", "probability": 0.03},
    {"kind": "reply_lost", "operation": "refunds.create", "probability": 0.05},
    {"kind": "server_error", "operation": "payment_intents.confirm", "probability": 0.01},
    {"kind": "server_error", "operation": "*.capture", "probability": 0.01, "when": "after"},
    {"kind": "server_error", "operation": "refunds.create", "probability": 0.02, "when": "after"},
    {"kind": "hang", "operation": "*", "probability": 0.004, "delay_ms": 4_000},
    {"kind": "rate_limit", "operation": "*", "probability": 0.02},
    {"kind": "slow", "operation": "*", "probability": 0.03, "delay_ms": 150},
)

_WITNESS: Final = """
create schema torture;
create table torture.heard (
    position bigint generated always as identity,
    event_id text not null, key text not null, sequence bigint not null, type text not null
);
grant usage on schema torture to public;
grant insert on torture.heard to public;
"""


@dataclass(frozen=True)
class Stage:
    """What is there before anybody plays, and stays when they die."""

    urls: DatabaseUrls
    sandbox_url: str
    folder: Path
    bootstrap: str | None
    owner: Connection
    """For looking, as the owner of the database."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of each process."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        keys = {_KEY_NAMES[each]: key for each, key in ACCOUNTS.items()}
        kafka = {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap} if self.bootstrap else {}
        return {
            **inherited,
            **keys,
            **kafka,
            "DATABASE_URL": self.urls.application,
            "GRPC_TOKEN": TOKEN,
            "LEASE_SECONDS": str(_LEASE_SECONDS),
            "PROCESSOR_TIMEOUT_SECONDS": str(_PROCESSOR_SECONDS),
            "PROCESSORS_FILE": str(self.folder / "processors.toml"),
            "OTEL_TRACES_SAMPLER_ARG": "0",
        }

    @property
    def log(self) -> Path:
        """Where the processes write their errors."""
        return self.folder / "log"

    async def record(self) -> Record:
        """What the processors say that they did."""
        return await read_sandbox(self.sandbox_url, ACCOUNTS)

    async def strike(self) -> None:
        """Have things go wrong at the processors."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, timeout=60) as client:
            for fault in _FAULTS:
                (await client.post("/_sandbox/faults", json=fault)).raise_for_status()

    async def relent(self) -> None:
        """Have them go right again."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, timeout=60) as client:
            (await client.delete("/_sandbox/faults")).raise_for_status()


@asynccontextmanager
async def stage(
    urls: DatabaseUrls, folder: Path, seed: int, bootstrap: str | None
) -> AsyncIterator[Stage]:
    """The stage over a migrated database; the folder is for what is left behind."""
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute(_WITNESS)
        async with _sandbox(folder / "sandbox", seed) as url:
            (folder / "processors.toml").write_text(_processors(url))
            yield Stage(urls, url, folder, bootstrap, owner)
    finally:
        await owner.close()


async def open_shop(channel: Channel) -> None:
    """Configure the merchant in whose name everything is paid."""
    settings = config_pb.MerchantSettings(
        default_currency="USD",
        fees=config_pb.FeeSchedule(
            basis_points=290, fixed=[Money(amount_minor=30, currency="USD")]
        ),
        capture_method=CAPTURE_METHOD_AUTOMATIC,
        split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
        processors=[config_pb.ProcessorPreference(processor_id=each) for each in ACCOUNTS],
    )
    request = PutConfigRequest(
        idempotency_key="opening day", merchant_id=MERCHANT, comment="torture", settings=settings
    )
    await MerchantConfigServiceStub(channel).PutConfig(request)


def _processors(url: str) -> str:
    tables = (
        f"""
[[processors]]
id = "{each}"
adapter = "stripe"
options = {{ api_key_env = "{_KEY_NAMES[each]}", base_url = "{url}" }}
"""
        for each in ACCOUNTS
    )
    return "".join(tables)


@asynccontextmanager
async def _sandbox(folder: Path, seed: int) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--data", str(folder), "--port", "0", "--seed", str(seed),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert line.startswith(_READY), line
        yield line.removeprefix(_READY).split(",")[0]
    finally:
        process.terminate()
        await process.wait()
