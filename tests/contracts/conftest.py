"""What the tests of the contracts share: their descriptors, and a copy that a test may break."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).with_name("buf")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """Every file of proto/ as buf compiles it, comments included, without Google's own."""
    image = tmp_path_factory.mktemp("image") / "contracts.binpb"
    subprocess.run(
        [BUF, "build", "--as-file-descriptor-set", "--output", image], cwd=ROOT, check=True
    )
    compiled = FileDescriptorSet.FromString(image.read_bytes())
    return [file for file in compiled.file if file.package.startswith("payments.")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of all that generating, comparing and releasing the contracts needs."""
    for name in ("proto", "gen", "tools", "contracts"):
        without_bytecode = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=without_bytecode)
    for name in ("buf.yaml", "buf.gen.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def rewrite(checkout: Path) -> Callable[[str, str, str], None]:
    """Replace a text in a file of the copy, insisting that it was there."""

    def rewrite(file: str, old: str, new: str) -> None:
        path = checkout / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} no longer holds {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    return rewrite


@pytest.fixture
def contracts(checkout: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run tools.contracts in the copy."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tools.contracts", *arguments],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
