"""A process with everything that a webhook meets; it says where it listens, and is killed."""

import asyncio
import sys

from services.runtime.rpc import GrpcServer
from services.runtime.settings import load_settings
from services.runtime.telemetry import configure_logging
from services.system import open_system

_NAMES = (
    "ledger",
    "processor",
    "merchant_config",
    "plan_builder",
    "router",
    "orchestrator",
    "webhooks",
    "messaging",
)


async def main() -> None:
    configure_logging("killed", level="error")
    async with open_system(load_settings(), _NAMES) as system:
        server = GrpcServer(system.registry)
        sys.stdout.write(f"{await server.start('127.0.0.1:0')}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
