"""`payment-cli serve` from outside: it says where it is, drains, and refuses in one line."""

import json
import socket
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from services.runtime.run_file import RunFile
from tests.cli.conftest import Cli, run_cli, serving
from tests.conftest import DatabaseUrls


def test_run_json_opens_the_doors_and_is_for_its_owner_alone(home: Path) -> None:
    mode = stat.S_IMODE((home / "run.json").stat().st_mode)
    assert mode == 0o600
    run = RunFile.read(home)
    assert run.grpc_address.startswith("127.0.0.1:")
    assert len(run.grpc_token) >= 32


def test_metrics_are_served(home: Path, cli: Cli) -> None:
    assert cli("ledger", "balance", "anyone").returncode == 0
    metrics_url = RunFile.read(home).metrics_url
    assert metrics_url is not None
    with urllib.request.urlopen(metrics_url, timeout=10) as response:  # noqa: S310 -- http, ours
        page = response.read().decode()
    assert 'rpc_calls_total{code="OK",method="GetBalance"' in page


def test_buf_curl_looks_around_and_calls(home: Path) -> None:
    run = RunFile.read(home)
    url = f"http://{run.grpc_address}/payments.ledger.v1.LedgerService/GetBalance"
    finished = subprocess.run(
        [
            Path(sys.executable).with_name("buf"), "curl",
            "--protocol", "grpc", "--http2-prior-knowledge", "--timeout", "20s",
            "-H", f"authorization: Bearer {run.grpc_token}",
            "-d", '{"account": "NOBODY", "currency": "USD"}', url,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["balance"]["account"] == "NOBODY"


def test_a_term_signal_drains_and_takes_run_json_away(
    short_tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    with serving(short_tmp_path, "ledger", DATABASE_URL=database_urls.application) as process:
        pass
    assert process.returncode == 0
    assert not (short_tmp_path / "run.json").exists()
    after = run_cli("ledger", "verify", SWITCHYARD_HOME=str(short_tmp_path))
    assert after.returncode == 1
    assert "nothing runs under" in after.stderr


def test_the_embedded_database_survives_a_kill_of_the_whole_process(short_tmp_path: Path) -> None:
    variables = {"SWITCHYARD_HOME": str(short_tmp_path)}
    with serving(short_tmp_path) as process:
        posted = run_cli("ledger", "post", "pay_1", "A=-1.00", "B=1.00", **variables)
        assert posted.returncode == 0, posted.stderr
        process.kill()
        process.wait()
        assert run_cli("ledger", "balance", "B", **variables).returncode == 1
    with serving(short_tmp_path):
        after = run_cli("ledger", "balance", "B", **variables)
    assert after.stdout == "B: 1.00 USD in 1 entries\n"


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "complaint"),
    [
        (("nonsense",), {}, 1, "no service is called nonsense"),
        ((), {"GRPC_PORT": "many"}, 2, "GRPC_PORT"),
        ((), {"DATABASE_URL": "mysql://x@y/z"}, 2, "DATABASE_URL"),
        ((), {"DATABASE_URL": "postgresql://a@127.0.0.1:1/b"}, 1, "nobody answers"),
        ((), {"GRPC_HOST": "0.0.0.0"}, 1, "TLS"),  # noqa: S104 -- that is refused
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    short_tmp_path: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    code: int,
    complaint: str,
) -> None:
    finished = run_cli("serve", *arguments, "--home", str(short_tmp_path), **variables)
    assert finished.returncode == code, finished.stderr
    lines = [line for line in finished.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not (short_tmp_path / "run.json").exists()


def test_a_busy_port_is_one_line(short_tmp_path: Path, database_urls: DatabaseUrls) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finished = run_cli(
            "serve", "ledger", "--home", str(short_tmp_path),
            "--grpc-port", str(taken.getsockname()[1]),
            DATABASE_URL=database_urls.application,
        )  # fmt: skip
    assert finished.returncode == 1
    assert "stop what listens there" in finished.stderr


def test_an_owners_login_is_refused(short_tmp_path: Path, database_urls: DatabaseUrls) -> None:
    finished = run_cli(
        "serve", "ledger", "--home", str(short_tmp_path), DATABASE_URL=database_urls.owner
    )
    assert finished.returncode == 1
    assert "owns" in finished.stderr
