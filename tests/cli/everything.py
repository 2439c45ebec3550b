"""`payment-cli up` with an environment of the test's own, from ready until it has ended."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.runtime.settings import Settings

_READY_SECONDS = 120.0
_STOPPED_SECONDS = 60.0
BESIDE_SETTINGS = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET")
_ANY_PORTS = {"http": "0", "grpc": "0", "sandbox": "0"}


@dataclass(frozen=True)
class Up:
    """What runs, and what it has said."""

    run: dict[str, Any]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without anything that sets Switchyard up, and with these."""
    ours = {name.upper() for name in Settings.model_fields} | set(BESIDE_SETTINGS)
    kept = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("OTEL_")}
    return kept | variables


@contextmanager
def up(home: Path, **variables: str) -> Iterator[Up]:
    """Everything, on free ports unless a variable says which; told to stop in the end, and it does.

    It is asserted that run.json is its owner's alone, and goes when the system does.
    """
    log, run_file = home.parent / "log", home / "run.json"
    ports = {
        name: port for name, port in _ANY_PORTS.items() if f"{name.upper()}_PORT" not in variables
    }
    options = [word for name, port in ports.items() for word in (f"--{name}-port", port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--home", str(home), *options],
            env=clean_environment(**variables),
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while not run_file.exists():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, "it is not ready after two minutes"
            time.sleep(0.1)
        assert stat.S_IMODE(run_file.stat().st_mode) == 0o600
        yield Up(json.loads(run_file.read_text()), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        ended = process.wait(_STOPPED_SECONDS)
    assert ended == 0, log.read_text()[-3000:]
    assert not run_file.exists()


def call(run: dict[str, Any], path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the gateway answers the first merchant."""
    request = urllib.request.Request(  # noqa: S310 -- our own address
        run["http_url"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {run['merchant']['api_key']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        answer: dict[str, Any] = json.loads(response.read())
        return answer
