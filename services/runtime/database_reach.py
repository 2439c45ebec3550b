"""Opens a connection for a command or a start, and says in one line why that does not work.

No message holds the URL: it may carry a password.
"""

from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from services.runtime.database import DATABASE_ERRORS, Connection
from services.runtime.startup import StartupError

URL_EXAMPLE: Final = "postgresql://login:password@host:5432/database"

_PATIENCE: Final = timedelta(seconds=10)


def login_of(url: str) -> str:
    """The login that a database URL names, empty when it names none."""
    return unquote(urlsplit(url).username or "")


async def reach(url: str, *, setting: str, application_name: str) -> Connection:
    """A connection that the caller closes; `setting` is where the user would correct the URL."""
    try:
        return await asyncpg.connect(
            url,
            timeout=_PATIENCE.total_seconds(),
            server_settings={"application_name": application_name},
        )
    except (*DATABASE_ERRORS, ValueError) as error:
        raise StartupError(f"{setting}: {_why(error, url)}") from error


def _why(error: Exception, url: str) -> str:
    place = _place(url)
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            why = f"{place} refuses the login {login_of(url)}: check its name and password"
        case asyncpg.InvalidCatalogNameError():
            why = f"{place} has no such database: create it or correct the name"
        case asyncpg.TooManyConnectionsError() | asyncpg.CannotConnectNowError():
            why = f"{place} is busy ({error}): try again, or raise its max_connections"
        case TimeoutError():
            why = f"{place} did not answer in {_PATIENCE.seconds} s: check host, port and firewall"
        case OSError():
            why = f"nobody answers at {place}: start the server or correct host and port"
        case asyncpg.PostgresError():
            why = f"{place} refuses: {error}"
        case _:
            why = f"not understood; it looks like {URL_EXAMPLE}"
    return why


def _place(url: str) -> str:
    parts = urlsplit(url)
    if parts.hostname:
        return f"{parts.hostname}:{parts.port or 5432}"
    return parse_qs(parts.query).get("host", ["the local socket"])[0]
