"""The whole platform in this process, on a stage with a sandbox, and a witness who hears events."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from grpc.aio import Channel

from services.runtime.database import Connection
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.settings import load_settings
from services.system import System, open_system
from tests.torture.stage import Stage, open_shop
from tests.torture.told import Told

NAMES: Final = (
    "ledger",
    "processor",
    "merchant_config",
    "plan_builder",
    "router",
    "orchestrator",
    "messaging",
)
# A machine that is busy must not look like a processor that says nothing.
_PROCESSOR_SECONDS: Final = 20
_NOTE: Final = """
insert into torture.heard (event_id, key, sequence, type) values ($1, $2, $3, $4)
"""


@dataclass
class Scene:
    """Where people pay."""

    stage: Stage
    system: System
    told: Told = field(default_factory=Told)
    """What callers were told."""

    @property
    def channel(self) -> Channel:
        return self.system.channel

    async def any(self, operation: str = "") -> Channel:
        """Whom to call, whatever for: there is one process."""
        return self.channel


@asynccontextmanager
async def system_on(stage: Stage, names: Sequence[str], **settings: Any) -> AsyncIterator[System]:
    """The services of these names over the stage."""
    with patch.dict(os.environ, stage.environment, clear=True):
        patience = {"processor_timeout_seconds": _PROCESSOR_SECONDS}
        chosen = load_settings(**(patience | settings))
        async with open_system(chosen, names) as system:
            yield system


@asynccontextmanager
async def scene(
    stage: Stage, names: Sequence[str] = NAMES, **settings: Any
) -> AsyncIterator[Scene]:
    """A system over the stage, a witness to what it tells, and a merchant who sells."""
    witness = Consumer("faults.witness", (Topic.EVENTS,), _note)
    async with (
        system_on(stage, names, **settings) as system,
        system.messaging.consuming(witness),
    ):
        await open_shop(system.channel)
        yield Scene(stage, system)


async def _note(connection: Connection, message: IncomingMessage) -> None:
    """The effect of a consumer that nothing but its inbox keeps from happening twice."""
    await connection.execute(_NOTE, message.id, message.key, message.sequence, message.type)
