"""A real Apache Kafka on this machine: one broker, no container, from Maven Central's jars.

    python -m tools.kafka start     in the background, with its data in .switchyard/kafka
    python -m tools.kafka stop

Maven resolves and verifies the jars once, into .tools/kafka. The broker listens on the loopback
alone: without credentials on its port, with a name and a password (SASL/PLAIN) on the next one.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
JARS: Final = ROOT / ".tools" / "kafka" / "jars"
DEFAULT_HOME: Final = ROOT / ".switchyard" / "kafka"
DEFAULT_PORT: Final = 9092

USER: Final = "switchyard"
PASSWORD: Final = "switchyard-local"  # noqa: S105 -- guards a loopback port of a trial broker

_VERSION: Final = "4.1.0"
_READY_SECONDS: Final = 90.0
_UNSEEN_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 30.0

_POM: Final = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>switchyard</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaProblem(Exception):
    """What keeps the broker from starting, in one line."""


@dataclass(frozen=True)
class Broker:
    """One broker: where its data lies and where it listens."""

    home: Path
    port: int

    @property
    def bootstrap(self) -> str:
        """Where clients without credentials connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def bootstrap_with_password(self) -> str:
        """Where clients must give name and password."""
        return f"127.0.0.1:{self.port + 1}"

    @property
    def _pid_file(self) -> Path:
        return self.home / "pid"

    @property
    def pid(self) -> int | None:
        """The broker's process, if it runs."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"kafka.Kafka" in command and str(self.home).encode() in command else None

    def start(self) -> None:
        """Start it, unless it runs, and return when it answers."""
        if self.pid is None:
            self._format()
            self._launch()
        started_at = last_seen_at = time.monotonic()
        while not self._answers():
            now = time.monotonic()
            if self.pid is not None:
                last_seen_at = now
            # While one program becomes another, a process shows no command line for a moment.
            if now - last_seen_at > _UNSEEN_SECONDS or now - started_at > _READY_SECONDS:
                raise KafkaProblem(f"the broker did not come up; see {self.home / 'log'}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Let it shut down, and kill it if it takes too long."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGKILL)
            while self.pid is not None:
                time.sleep(0.01)

    def _format(self) -> None:
        data = self.home / "data"
        data.mkdir(parents=True, exist_ok=True)
        properties = self.home / "server.properties"
        properties.write_text(_properties(data, self.port))
        if not (data / "meta.properties").exists():
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            command = _java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties)
            done = _run(*command)
            if done.returncode:
                raise KafkaProblem(f"cannot format {data}: {done.stderr.strip()}")

    def _launch(self) -> None:
        # A shell in between, so that the broker is nobody's child and outlives whoever started it.
        script = 'log=$1; shift; nohup "$@" </dev/null >>"$log" 2>&1 & echo $!'
        command = _java("kafka.Kafka", self.home / "server.properties")
        started = _run("setsid", "sh", "-c", script, "sh", self.home / "log", *command)
        self._pid_file.write_text(started.stdout)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def resolve_jars() -> None:
    """Have Maven fetch the broker and what it needs, once for each version."""
    stamp = JARS / _VERSION
    if stamp.exists():
        return
    for tool in ("mvn", "java"):
        if shutil.which(tool) is None:
            raise KafkaProblem(f"{tool} is not installed: Kafka needs Maven and Java 17 or newer")
    shutil.rmtree(JARS, ignore_errors=True)
    JARS.mkdir(parents=True)
    (JARS.parent / "pom.xml").write_text(_POM)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={JARS}", "-DincludeScope=runtime"]
    done = _run("mvn", "--quiet", "--batch-mode", "--file", JARS.parent / "pom.xml", *goal)
    if done.returncode:
        raise KafkaProblem(f"Maven could not resolve Kafka {_VERSION}: {done.stdout.strip()}")
    stamp.touch()


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- ours


def _java(*command: str | Path) -> list[str]:
    options = ["-Xms128m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    return ["java", *options, "-cp", f"{JARS}/*", *map(str, command)]


def _properties(data: Path, port: int) -> str:
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        f' user_{USER}="{PASSWORD}";'
    )
    protocols = "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
    with_password, controller = port + 1, port + 2
    listeners = (
        f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{with_password}"
        f",CONTROLLER://127.0.0.1:{controller}"
    )
    return "\n".join(
        (
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            "controller.listener.names=CONTROLLER",
            f"listeners={listeners}",
            f"listener.security.protocol.map={protocols}",
            "listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN",
            f"listener.name.sasl_plaintext.plain.sasl.jaas.config={login}",
            f"log.dirs={data}",
            "auto.create.topics.enable=false",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "share.coordinator.state.topic.replication.factor=1",
            "share.coordinator.state.topic.min.isr=1",
            "",
        )
    )


def main(arguments: list[str]) -> int:
    """Start or stop the broker of this checkout."""
    broker = Broker(DEFAULT_HOME, DEFAULT_PORT)
    if arguments == ["stop"]:
        broker.stop()
        return 0
    try:
        resolve_jars()
        broker.start()
    except KafkaProblem as problem:
        sys.stderr.write(f"kafka: {problem}\n")
        return 1
    sys.stdout.write(f"Kafka {_VERSION} listens on {broker.bootstrap}; make kafka-stop ends it\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
