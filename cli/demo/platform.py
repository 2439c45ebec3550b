"""The platform: `payment-cli up` in a process of its own, which can be killed and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli.demo.scene import StepFailed
from services.runtime.run_file import NotRunning, RunFile
from services.runtime.settings import Settings

_CLI: Final = (sys.executable, "-m", "cli")
_READY_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 60.0
_LAST_LINES: Final = 20
_ROUTINE: Final = '"level":"info"'
# What a crash leaves is taken up after this; 15 s unless it is set.
LEASE_SECONDS: Final = 2
# Settings that are read from the environment alone.
_MORE_OF_OURS: Final = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "SWITCHYARD_CRASH_AT")

_PROCESSORS: Final = """
[[processors]]
id = "stripe"
adapter = "stripe"
[processors.options]
api_key_env = "STRIPE_API_KEY"
base_url = "{sandbox}"
webhook_secret_env = "STRIPE_WEBHOOK_SECRET"

[[processors]]
id = "apple_pay"
adapter = "apple_pay"
[processors.options]
api_key_env = "STRIPE_API_KEY"
base_url = "{sandbox}"
webhook_secret_env = "STRIPE_WEBHOOK_SECRET"

[[processors]]
id = "northbank"
adapter = "stripe"
currencies = ["EUR"]
options = {{ api_key_env = "NORTHBANK_API_KEY", base_url = "{bank}" }}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Platform:
    """Everything of ours under one home, on ports that stay the same when it starts again."""

    home: Path
    bank_url: str
    http_port: int = field(default_factory=_free_port)
    sandbox_port: int = field(default_factory=_free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.home / "demo.log"

    def start(self) -> RunFile:
        """Start it, and wait until it says that it is ready."""
        self.home.mkdir(exist_ok=True)
        processors = self.home / "processors.toml"
        sandbox = f"http://127.0.0.1:{self.sandbox_port}"
        processors.write_text(_PROCESSORS.format(sandbox=sandbox, bank=self.bank_url))
        ports = {"http": self.http_port, "grpc": 0, "sandbox": self.sandbox_port}
        options = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 -- ourselves
                [*_CLI, "up", "--home", str(self.home), *options],
                env=self._environment(processors),
                stdout=output,
                stderr=output,
            )
        return self._ready(self.process)

    def kill(self) -> None:
        """As the kernel would, or a power cut: nothing is told, nothing is tidied up."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def cli(self, *arguments: str) -> Any:
        """What payment-cli answers an operator, as JSON."""
        done = subprocess.run(  # noqa: S603 -- ourselves
            [*_CLI, *arguments, "--home", str(self.home), "--output", "json"],
            env=_environment_without_settings(),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if not done.stdout:
            raise StepFailed(f"payment-cli {' '.join(arguments)} should answer", done.stderr)
        return json.loads(done.stdout)

    def last_words(self) -> str:
        """The last that it complained of, for those who want to know why."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return "\n".join([line for line in lines if _ROUTINE not in line][-_LAST_LINES:])

    def _environment(self, processors: Path) -> dict[str, str]:
        return _environment_without_settings() | {
            "PROCESSORS_FILE": str(processors),
            "NORTHBANK_API_KEY": "sk_test_northbank",
            "LEASE_SECONDS": str(LEASE_SECONDS),
        }

    def _ready(self, process: "subprocess.Popen[bytes]") -> RunFile:
        give_up_at = time.monotonic() + _READY_SECONDS
        while process.poll() is None and time.monotonic() < give_up_at:
            try:
                run = RunFile.read(self.home)
            except NotRunning:
                pass
            else:
                # That of a process that was killed lies there as well.
                if run.pid == process.pid:
                    return run
            time.sleep(0.05)
        raise StepFailed("payment-cli up should be ready by now", f"exit code {process.poll()}")


def _environment_without_settings() -> dict[str, str]:
    """So that nobody's own database is shown around in."""
    ours = {name.upper() for name in Settings.model_fields} | set(_MORE_OF_OURS)
    return {name: value for name, value in os.environ.items() if name.upper() not in ours}
