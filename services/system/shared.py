"""What the services of a process share, and how they reach one another."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from grpc.aio import Channel

from services.kernel.clock import Clock
from services.runtime.database import Database
from services.runtime.messaging.process import Messaging
from services.runtime.rpc import ClientTls, Registry, connect
from services.runtime.settings import Settings
from services.runtime.startup import StartupError
from services.runtime.telemetry import Telemetry


@dataclass(frozen=True)
class System:
    """What the services of a process share, and the channels on which they meet."""

    settings: Settings
    clock: Clock
    names: Sequence[str]
    database_url: str
    database: Database
    telemetry: Telemetry
    messaging: Messaging
    registry: Registry
    channel: Channel
    """To the services of this process."""
    token: str
    """What callers from outside the process show, and what it shows to others."""
    stack: AsyncExitStack

    def knows(self, name: str) -> bool:
        """Whether a service is here, or its address is set."""
        return name in self.names or name in self.settings.addresses

    async def channel_to(self, name: str) -> Channel:
        """To a service wherever it is: here, or at the address that is set for it."""
        if name in self.names:
            return self.channel
        address = self.settings.addresses.get(name)
        if address is None:
            raise StartupError(
                f"{name} is needed and not served here: serve it too, or say where it is with"
                f" SERVICE_ADDRESSES={name}=host:port"
            )
        roots = self.settings.grpc_tls_roots
        tls = None if roots is None else ClientTls(roots)
        return await self.stack.enter_async_context(connect(address, token=self.token, tls=tls))
