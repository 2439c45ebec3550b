"""The layer rule bites: each contract of .importlinter is broken once and must say so."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

# One offending import a contract, in a room of a service that exists only in the copy.
_OFFENCES = {
    "kernel": ("services/kernel/offence.py", "import services.runtime.database"),
    "runtime": ("services/runtime/offence.py", "import services.trial.store"),
    "sandbox": ("sandbox/offence.py", "import services.kernel.money"),
    "domain": ("services/trial/domain.py", "import payments.core.v1.money_pb2"),
    "service": ("services/trial/service.py", "import services.runtime.database"),
    "store": ("services/trial/store.py", "import payments.core.v1.money_pb2"),
    "translate": ("services/trial/translate.py", "import services.runtime.database"),
    "wire": ("services/runtime/wire/offence.py", "import services.runtime.database"),
    "rpc": ("services/trial/rpc.py", "import services.trial.store"),
    "oracle": ("oracle/offence.py", "import services.trial.store"),
    "doors": ("cli/offence.py", "import asyncpg"),
    "strangers": ("services/ledger/offence.py", "import services.router"),
    "generated": ("gen/payments/offence.py", "import services.kernel.money"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("services", "cli", "gateway", "sandbox", "oracle", "gen", ".importlinter"):
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    trial = tmp_path / "services" / "trial"
    trial.mkdir()
    for room in ("__init__", "domain", "service", "store", "translate", "rpc"):
        (trial / f"{room}.py").touch()
    return tmp_path


def _lint(folder: Path) -> str:
    finished = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{folder / 'gen'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout + finished.stderr


def _contracts() -> dict[str, str]:
    config = configparser.ConfigParser()
    config.read(_ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): config[section]["name"]
        for section in config.sections()
        if section.startswith(prefix)
    }


def test_every_contract_is_broken_by_its_offence_and_kept_without(copy: Path) -> None:
    contracts = _contracts()
    assert set(_OFFENCES) == set(contracts)
    before = _lint(copy)
    for name in contracts.values():
        assert f"{name} KEPT" in before, before
    for file, offence in _OFFENCES.values():
        (copy / file).write_text(f"{offence}\n")
    after = _lint(copy)
    for name in contracts.values():
        assert f"{name} BROKEN" in after, after


def test_every_service_is_held_apart_from_the_others() -> None:
    config = configparser.ConfigParser()
    config.read(_ROOT / ".importlinter")
    named = config["importlinter:contract:strangers"]["modules"].split()
    folders = {path.parent.name for path in (_ROOT / "services").glob("*/__init__.py")}
    assert {f"services.{name}" for name in folders - {"kernel", "runtime", "system"}} == set(named)
