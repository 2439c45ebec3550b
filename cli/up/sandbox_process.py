"""The sandbox beside the platform, in a process of its own as the outside world is."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import HttpUrl

from services.runtime.startup import StartupError

_API_KEY: Final = "sk_test_switchyard"
_READY: Final = "ready on "
_START_SECONDS: Final = 30.0


@dataclass(frozen=True)
class SandboxProcess:
    """A sandbox that answers, and sends its events to us."""

    url: HttpUrl
    api_key: str
    webhook_secret: str

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, port: int, webhook_url: str) -> AsyncIterator[Self]:
        """Run it over what it kept in the folder, until this ends."""
        secret = _kept_secret(folder)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sandbox",
            "--data",
            str(folder / "data"),
            "--port",
            str(port),
            "--webhook-url",
            webhook_url,
            "--webhook-secret",
            secret,
            "--dies-with-starter",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            url = await asyncio.wait_for(_address(process), _START_SECONDS)
            yield cls(HttpUrl(url), _API_KEY, secret)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it answers, as it says in its first line."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    _, found, rest = line.partition(_READY)
    if not found:
        raise StartupError(
            "the sandbox did not start, as it says; where its port is taken, try --sandbox-port 0"
        )
    return rest.split(",")[0].strip()


def _kept_secret(folder: Path) -> str:
    """The same at every start, so that events of an earlier run are still ours."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "webhook-secret"
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"whsec_{secrets.token_hex(24)}")
    return path.read_text().strip()
