"""The services, or some of them, in a process of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.runtime.run_file import NotRunning, RunFile

Process = subprocess.Popen[bytes]


@contextmanager
def serving(
    folder: Path, url: str, *options: str, log_level: str = "info"
) -> Iterator[tuple[RunFile, Process]]:
    """Start them, as an operator would and with the logs that one keeps, and stop them after."""
    home = folder / "service"
    serve = [sys.executable, "-m", "cli", "serve", "--home", str(home), "--grpc-port", "0"]
    command = [*serve, *options]
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 -- this program itself
            command,
            env={"DATABASE_URL": url, "LOG_LEVEL": log_level},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            yield _run_file(home, process), process
        finally:
            process.terminate()
            process.wait()


def peak_memory_mb(process: Process) -> float:
    """The most that the process has ever held."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(process: Process) -> float:
    """The processor time that the process has used so far, in all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run_file(home: Path, process: Process) -> RunFile:
    while process.poll() is None:
        try:
            return RunFile.read(home)
        except NotRunning:
            time.sleep(0.05)
    raise SystemExit("the services did not start")
