"""payment-cli in a thread of this process, as it finds a system of the test's own under a home."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from cli.main import main
from services.runtime.rpc import GrpcServer, Registry
from services.runtime.run_file import RunFile

Run = Callable[..., asyncio.Future[Result]]


@asynccontextmanager
async def command_line(registry: Registry, token: str, home: Path) -> AsyncIterator[Run]:
    """The command line against what a registry serves, over its network door."""
    server = GrpcServer(registry)
    port = await server.start("127.0.0.1:0")
    RunFile(1, f"127.0.0.1:{port}", token, "").write(home)

    def run(*arguments: str) -> asyncio.Future[Result]:
        # In a thread, since the command runs an event loop of its own.
        command = [*arguments, "--home", str(home)]
        running = asyncio.to_thread(CliRunner().invoke, main, command)
        return asyncio.ensure_future(running)

    yield run
    await server.stop(0)
