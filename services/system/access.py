"""Access: merchants and API keys, the authenticator that remembers, and what it hears of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.access.v1.access_service_pb2_grpc import add_AccessServiceServicer_to_server

from services.access.configuration import open_pepper
from services.access.rpc import AccessServicer
from services.access.service.authentication import Authenticator
from services.access.service.keys import Keys
from services.access.service.merchants import Merchants
from services.access.store.credentials import StoredCredentials
from services.access.store.keys import StoredKeys
from services.access.store.merchants import StoredMerchants
from services.access.workers import ChangeFeed, noting_uses
from services.system.shared import System


@asynccontextmanager
async def open_access(system: System) -> AsyncIterator[None]:
    pepper = open_pepper(system.settings)
    stored_keys = StoredKeys(system.database, pepper)
    await stored_keys.check_pepper()
    authenticator = Authenticator(StoredCredentials(system.database), pepper, system.clock)
    async with (
        ChangeFeed(system.database, authenticator, system.clock),
        noting_uses(authenticator),
    ):
        system.registry.register(
            add_AccessServiceServicer_to_server,
            AccessServicer(
                Merchants(StoredMerchants(system.database), system.clock),
                Keys(stored_keys, pepper, system.clock),
                authenticator,
            ),
        )
        yield
