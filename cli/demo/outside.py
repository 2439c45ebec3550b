"""The outside world: the processor with its own record of what it did, and a bank that dies."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx

from cli.demo.scene import StepFailed

_TIMEOUT_SECONDS: Final = 30.0
_READY: Final = "ready on "
_SEE_OTHER: Final = 303


class Processor:
    """The sandbox, asked what it did, and told what to do wrong."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def record(self, name: str) -> list[dict[str, Any]]:
        """One list of what it has in its own books, oldest first."""
        answer = self._http.get("/_sandbox/record", params={"lists": name})
        found: list[dict[str, Any]] = answer.raise_for_status().json()[name]
        return found

    def charges_of(self, payment_id: str) -> list[dict[str, Any]]:
        """What it has taken, or holds, for one payment of ours."""
        return [
            each
            for each in self.record("charges")
            if each["metadata"].get("switchyard_payment_id") == payment_id
        ]

    def order(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have it do what processors do of their own accord."""
        answer = self._http.post(f"/_sandbox/{path}", json=body)
        done: dict[str, Any] = answer.raise_for_status().json()
        return done

    def click(self, page_url: str) -> str:
        """Open the bank's page and press its button, as a browser would; where that leads."""
        self._http.get(page_url).raise_for_status()
        answer = self._http.post(page_url, data={"outcome": "complete"})
        if answer.status_code != _SEE_OTHER:
            raise StepFailed("the page should lead back to the shop", answer.status_code)
        return answer.headers["Location"]


@dataclass(frozen=True)
class Bank:
    """Another processor, in a process that can be killed."""

    url: str
    process: "subprocess.Popen[str]"

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(folder)]
        with subprocess.Popen(  # noqa: S603 -- ourselves
            [*command, "--dies-with-starter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                _, found, rest = process.stdout.readline().partition(_READY)
                if not found:
                    raise StepFailed("the second processor should start", rest)
                yield cls(rest.split(",")[0].strip(), process)
            finally:
                process.kill()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
