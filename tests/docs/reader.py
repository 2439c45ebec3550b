"""Somebody who types what a page says, from its top to its end, in one shell.

The folder is this checkout, but for `.switchyard`, which is the running system's. Ports that pages
name are replaced by those which that system has, since a test takes free ones.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cli.everything import Up, clean_environment
from tests.docs.matching import shows
from tests.docs.pages import ROOT, Step

_PAGE_SECONDS: Final = 900
# What the system under test was started as: it is not typed again, and has said what pages show.
_STARTED: Final = ("make run", "payment-cli up")


@dataclass(frozen=True)
class Reader:
    """A shell beside a running system."""

    folder: Path
    system: Up

    def follows(self, steps: Sequence[Step]) -> None:
        """Type every step; each succeeds, and prints what its page shows."""
        typed = [step for step in steps if not _is_start(step)]
        for step in steps:
            if _is_start(step):
                self._holds(step, self._said_at_start())
        for step, printed in zip(typed, self._printed(typed), strict=True):
            self._holds(step, printed)

    def _printed(self, steps: Sequence[Step]) -> list[str]:
        mark = f"--- step of {os.getpid()} ---"
        script = self.folder / "page.sh"
        commands = (f"printf '%s\\n' '{mark}'\n{self._here(step.command)}\n" for step in steps)
        script.write_text("set -euo pipefail\n" + "".join(commands))
        exit_code, output = self._bash(script)
        printed = output.split(f"{mark}\n")[1:]
        if exit_code:
            step = steps[len(printed) - 1]
            raise AssertionError(
                f"{step.page}:{step.line}: ended with {exit_code}\n{step.command}\n{printed[-1]}"
            )
        return printed

    def _bash(self, script: Path) -> tuple[int, str]:
        """Its exit code and all that it prints; what takes too long is ended, with its children."""
        with subprocess.Popen(
            ["bash", script],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            timer = threading.Timer(_PAGE_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            output, _ = process.communicate()
            timer.cancel()
            return process.returncode, output

    def _holds(self, step: Step, printed: str) -> None:
        shown = None if step.shown is None else self._here(step.shown)
        assert shown is None or shows(shown, printed), (
            f"{step.page}:{step.line}: {step.command}\n--- is said to print\n{shown}\n"
            f"--- and prints\n{printed}"
        )

    def _said_at_start(self) -> str:
        lines = self.system.said.replace(f"{self.folder}/", "").splitlines()
        return "\n".join(line for line in lines if not line.startswith("{"))

    def _here(self, text: str) -> str:
        run = self.system.run
        for port, address in (
            (8080, run["http_url"]),
            (50051, run["grpc_address"]),
            (12111, run["sandbox_url"]),
        ):
            actual = address.rpartition(":")[2]
            text = re.sub(rf"\b(127\.0\.0\.1|localhost):{port}\b", rf"\g<1>:{actual}", text)
        return text

    def _environment(self) -> Mapping[str, str]:
        tools = (Path(sys.executable).parent, ROOT / ".tools/bin")
        path = os.pathsep.join([*map(str, tools), os.environ["PATH"]])
        return clean_environment(PATH=path, NO_COLOR="1")

    def runs(self, program: str) -> None:
        """Run a Python example of a page."""
        ended = subprocess.run(
            [sys.executable, "-c", self._here(program)],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_PAGE_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{program}\n{ended.stderr}"


def _is_start(step: Step) -> bool:
    return step.command.split("#")[0].strip() in _STARTED
