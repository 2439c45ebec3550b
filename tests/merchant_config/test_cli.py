"""`payment-cli config` against a running service: what it writes, reads and refuses."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from services.runtime.rpc import GrpcServer, Middleware, Registry
from services.runtime.run_file import RunFile
from services.runtime.telemetry import Telemetry
from tests.cli.conftest import run_cli
from tests.merchant_config.conftest import serving_configs, stand_in_processors
from tests.merchant_config.settings import MERCHANT

_TOKEN = "a token for the commands of one test alone"  # noqa: S105 -- as it says

_FILE = f"""
merchant_id: {MERCHANT}
settings:
  default_currency: USD
  fees:
    basis_points: 290
    fixed:
    - amount_minor: 30
      currency: USD
  capture_method: automatic
  split_policy: partial
  processors:
  - processor_id: stripe
    timeout: 8s
  - processor_id: cards_only
  routing_rules:
  - name: amex-to-backup
    match:
      methods:
      - card
      card_networks:
      - american_express
      amount_band:
        from_amount:
          amount_minor: 5000
          currency: USD
      metadata:
        segment: vip
    targets:
    - processor_id: cards_only
      weight_percent: 70
    - processor_id: stripe
      weight_percent: 30
"""

ConfigCli = Callable[..., Awaitable["subprocess.CompletedProcess[str]"]]


@pytest.fixture
async def config_cli(application_url: str, tmp_path: Path) -> AsyncIterator[ConfigCli]:
    registry = Registry(Middleware(Telemetry.create("test"), token=_TOKEN))
    async with serving_configs(application_url, registry, stand_in_processors()):
        server = GrpcServer(registry)
        port = await server.start("127.0.0.1:0")
        RunFile(os.getpid(), f"127.0.0.1:{port}", _TOKEN, application_url).write(tmp_path)

        async def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return await asyncio.to_thread(
                run_cli, "config", *arguments, SWITCHYARD_HOME=str(tmp_path)
            )

        yield run
        await server.stop(grace_seconds=1)


async def test_what_is_put_is_got_and_can_be_put_again(
    config_cli: ConfigCli, tmp_path: Path
) -> None:
    file = tmp_path / "merchant.yaml"
    file.write_text(_FILE)
    made = await config_cli("put", str(file), "--comment", "the first")
    assert (made.returncode, made.stdout) == (0, f"{MERCHANT} version 1\n"), made.stderr

    got = await config_cli("get", MERCHANT)
    assert "# the first\n" in got.stdout
    document = yaml.safe_load(got.stdout)
    assert document == {**yaml.safe_load(_FILE), "version": 1}

    document["settings"]["default_currency"] = "EUR"
    document["settings"]["routing_rules"][0]["targets"][0]["weight_percent"] = 60
    document["settings"]["routing_rules"][0]["targets"][1]["weight_percent"] = 40
    document["settings"]["step_timeout"] = "12s"
    file.write_text(yaml.safe_dump(document))
    expected = (
        "default_currency: USD -> EUR\n"
        "routing_rules[0].targets[0].weight_percent: 70 -> 60\n"
        "routing_rules[0].targets[1].weight_percent: 30 -> 40\n"
        "step_timeout: (none) -> 12s\n"
    )
    assert (await config_cli("diff", MERCHANT, "--file", str(file))).stdout == expected
    assert (await config_cli("put", str(file))).returncode == 0
    assert (await config_cli("diff", MERCHANT, "--from", "1")).stdout == expected
    assert (await config_cli("diff", MERCHANT)).stdout == "no difference\n"

    stale = await config_cli("put", str(file))
    assert stale.returncode == 1
    assert stale.stderr == (
        "payment-cli: the newest version is 2, not 1: read it, then propose again\n"
    )
    old = await config_cli("get", MERCHANT, "--version", "1", "--output", "json")
    first = json.loads(old.stdout)
    assert first["settings"]["routing_rules"][0]["match"]["metadata"] == {"segment": "vip"}


_REFUSED = [
    (_FILE.replace("default_currency: USD", "default_currency: XYZ"), "default_currency"),
    (_FILE.replace("weight_percent: 70", "weight_percent: 71"), "routing_rules[0].targets"),
    (_FILE.replace(MERCHANT, "mer_1"), "mer_"),
]
_WRONG = [
    (_FILE.replace("capture_method: automatic", "capture_method: later"), "capture_method"),
    (_FILE.replace("timeout: 8s", "timeouts: 8s"), "timeouts"),
    (_FILE.replace("settings:", "setting:"), "setting is none of its fields"),
    (_FILE + "version: one\n", "version: must be"),
    (_FILE + "version: yes\n", "version: must be"),
    ("a: [", "is no YAML"),
    ("a: 2026-02-31", "is no YAML"),
    ("[" * 3000, "is no YAML"),
    ("\udcff", "cannot be read"),
    ("- a", "wants merchant_id"),
    (f"merchant_id: {MERCHANT}", "settings: must be"),
]


async def test_what_is_wrong_with_a_file_is_told_in_lines(
    config_cli: ConfigCli, tmp_path: Path
) -> None:
    file = tmp_path / "merchant.yaml"
    cases = [(*each, 1) for each in _REFUSED] + [(*each, 2) for each in _WRONG]
    for text, complaint, exit_code in cases:
        file.write_text(text, errors="surrogateescape")
        refused = await config_cli("put", str(file))
        assert refused.returncode == exit_code, text
        assert complaint in refused.stderr
        assert "Traceback" not in refused.stderr
    assert (await config_cli("get", MERCHANT)).returncode == 1
