"""What the torture is played on: a database, the world outside, a merchant, a witness's book."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from grpc.aio import Channel
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)

from services.runtime.database import Connection
from tests.conftest import DatabaseUrls
from tests.plan_builder.orders import MERCHANT
from tests.torture.fleet import TOKEN
from tests.torture.outside import ACCOUNTS, Outside, outside
from tests.webhooks.letters import SECRET

_KEY_NAMES: Final = {"stripe_one": "TORTURE_KEY_ONE", "stripe_two": "TORTURE_KEY_TWO"}
_SIGNING_NAME: Final = "TORTURE_WEBHOOK_SECRET"
_LEASE_SECONDS: Final = 1
_PROCESSOR_SECONDS: Final = 2
_OURS: Final = ("SWITCHYARD_", "DATABASE_", "GRPC_", "METRICS_", "KAFKA_", "LOG_", "STRIPE_")

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
    outside: Outside
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
            _SIGNING_NAME: SECRET,
            "DATABASE_URL": self.urls.application,
            "GRPC_TOKEN": TOKEN,
            "LEASE_SECONDS": str(_LEASE_SECONDS),
            "PROCESSOR_TIMEOUT_SECONDS": str(_PROCESSOR_SECONDS),
            "PROCESSORS_FILE": str(self.folder / "processors.toml"),
            # Who is killed again and again has not failed as often.
            "CONSUMER_TRIES": "20",
            "WEBHOOK_COMPARISON_SECONDS": "2",
            "WEBHOOK_GRACE_SECONDS": "2",
            "OTEL_TRACES_SAMPLER_ARG": "0",
        }

    @property
    def log(self) -> Path:
        """Where the processes write their errors."""
        return self.folder / "log"


@asynccontextmanager
async def stage(
    urls: DatabaseUrls, folder: Path, seed: int, bootstrap: str | None
) -> AsyncIterator[Stage]:
    """The stage over a migrated database; the folder is for what is left behind."""
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute(_WITNESS)
        async with outside(folder / "sandbox", seed) as world:
            (folder / "processors.toml").write_text(_processors(world.url))
            yield Stage(urls, world, folder, bootstrap, owner)
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

[processors.options]
api_key_env = "{_KEY_NAMES[each]}"
base_url = "{url}"
webhook_secret_env = "{_SIGNING_NAME}"
"""
        for each in ACCOUNTS
    )
    return "".join(tables)
