"""Removing guards, one after another and two at a time, and hearing what the tests say."""

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.checkout import environment, without
from tests.mutation.guard import Guard

# As each test ends, for what a test leaves behind when it fails may keep pytest from summing up.
_FAILED = re.compile(r"^(tests/\S+?::\w+).* FAILED\b", re.MULTILINE)
_TESTS_FAILED = 1
_ENDING_SECONDS = 20.0
_TOLD_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True)
class Tested:
    """How a run of tests ended."""

    code: int | None
    """None where it did not end in time."""
    said: str
    seconds: float

    @property
    def failed(self) -> tuple[str, ...]:
        """The tests that failed; one that could not begin has not."""
        return tuple(_FAILED.findall(self.said)) if self.code == _TESTS_FAILED else ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of removing one guard."""

    guard: Guard
    killed_by: str | None
    seconds: float
    problem: str = ""
    """Why nobody can be said to have missed it."""


async def run_tests(checkout: Path, tests: Sequence[str], timeout_seconds: float) -> Tested:
    """Run tests in a checkout up to the first that fails."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-x", "-vv", "--tb=short", "-p", "no:cacheprovider"),
        *tests,
        cwd=checkout,
        env=environment(checkout),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            said, _ = await process.communicate()
        code = process.returncode
    except TimeoutError:
        said, code = await _end(process), None
    return Tested(code, said.decode(errors="replace"), time.monotonic() - started)


async def _end(process: asyncio.subprocess.Process) -> bytes:
    """As by Ctrl-C first, so that servers which tests have started are stopped."""
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(_ENDING_SECONDS):
            said, _ = await process.communicate()
            return said
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return b"it did not end when it was interrupted"


async def remove_each(
    base: Path,
    guards: Sequence[Guard],
    *,
    at_once: int,
    timeout_seconds: float,
    tell: Callable[[Finding], None],
) -> list[Finding]:
    """Remove each guard in a copy of its own, and run what has to fail then."""
    room = asyncio.Semaphore(at_once)

    async def remove(guard: Guard) -> Finding:
        async with room:
            finding = await _remove(base, guard, timeout_seconds)
        tell(finding)
        return finding

    return await asyncio.gather(*(remove(guard) for guard in guards))


async def _remove(base: Path, guard: Guard, timeout_seconds: float) -> Finding:
    folder = base.parent / guard.name
    await asyncio.to_thread(without, base, folder, guard.cuts)
    tested = await run_tests(folder, guard.tests, timeout_seconds)
    await asyncio.to_thread(shutil.rmtree, folder)
    for test in tested.failed:
        if test in guard.tests:
            return Finding(guard, test, tested.seconds)
    return Finding(guard, None, tested.seconds, _why(tested))


def _why(tested: Tested) -> str:
    if tested.code is None:
        return f"the tests did not end in time:\n{tested.said[-_TOLD_CHARACTERS:]}"
    if tested.code == 0:
        return "the tests pass without it"
    return f"the tests could not be run without it:\n{tested.said[-_TOLD_CHARACTERS:]}"
