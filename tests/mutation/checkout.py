"""Copies of the checkout, in which guards are removed; the working tree itself is never touched."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.mutation.guard import ROOT, Cut, Rotten

_PROOF = "raise ImportError('it is the copy that is imported')\n"
_PROVEN = Path("services/kernel/errors.py")


def copy_checkout(folder: Path) -> Path:
    """Everything that belongs to the checkout as it stands now, committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        # A file that somebody has removed is listed until that is committed.
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def without(base: Path, folder: Path, cuts: tuple[Cut, ...]) -> Path:
    """A copy of a copy, with cuts made in it."""
    shutil.copytree(base, folder, symlinks=True)
    for cut in cuts:
        cut.make(folder)
        _forget_compiled(folder / cut.file)
    return folder


def environment(checkout: Path) -> dict[str, str]:
    """In which Python imports the copy, also in the processes that tests start."""
    paths = f"{checkout}{os.pathsep}{checkout / 'gen'}"
    # Tests that go on for longer, or need a broker, are no part of this.
    others = {k: v for k, v in os.environ.items() if not k.startswith("SWITCHYARD_TEST_")}
    return {**others, "PYTHONPATH": paths}


def prove_isolation(base: Path, folder: Path) -> None:
    """Raise Rotten unless breaking an import in a copy breaks it there, and nowhere else."""
    broken = shutil.copytree(base, folder, symlinks=True)
    (broken / _PROVEN).write_text(_PROOF)
    _forget_compiled(broken / _PROVEN)
    for checkout, is_broken in ((broken, True), (base, False)):
        imported = subprocess.run(
            [sys.executable, "-c", "import services.kernel.errors"],
            cwd=folder.parent,
            env=environment(checkout),
            capture_output=True,
            text=True,
            check=False,
        )
        if ("it is the copy that is imported" in imported.stderr) is not is_broken:
            raise Rotten(f"what is imported is not the copy: {imported.stderr}")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/kernel/test_errors.py"],
        cwd=broken,
        env=environment(broken),
        capture_output=True,
        text=True,
        check=False,
    )
    said = tested.stdout + tested.stderr
    if "it is the copy that is imported" not in said:
        raise Rotten(f"what is tested is not the copy:\n{said}")
    shutil.rmtree(broken)


def _forget_compiled(path: Path) -> None:
    # Compiled code is known to be old by second and size, in which a small change may agree.
    if path.suffix == ".py":
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
