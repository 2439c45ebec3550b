"""Generates code from the contracts, proves it current, and compares and releases the contracts.

`python -m tools.contracts generate|current|breaking|release [VERSION]`, run by the Makefile. A
release is a directory contracts/releases/<version> with an image of what was released; the version
follows from what changed, so that nobody has to judge it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
RELEASES = ROOT / "contracts" / "releases"
IMAGE_NAME = "image.binpb"
BREAKS = 100  # buf's exit code for findings, as against trouble of its own


class ContractsError(Exception):
    """What stands in the way, in one line for the person who ran the command."""


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """A semantic version, without the parts for pre-releases that contracts do not have."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "1.2.3"."""
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise ContractsError(f"{text!r} is not a version such as 1.2.3")
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def next_version(last: Version | None, *, breaks: bool) -> Version:
    """Say which version follows when the contracts break what was released, or only add to it."""
    if last is None:
        return Version(0, 1, 0)
    if last.major == 0:
        return Version(0, last.minor + 1, 0) if breaks else Version(0, last.minor, last.patch + 1)
    if breaks:
        raise ContractsError(
            f"this breaks contracts {last}, and since 1.0.0 a package never breaks: "
            "take the change back, or make the next package (v2) beside it"
        )
    return Version(last.major, last.minor + 1, 0)


def run_buf(*arguments: str | Path, quietly: bool = False) -> subprocess.CompletedProcess[str]:
    """Run buf at the root, with this interpreter's plugins first on the path."""
    here = Path(sys.executable).parent
    path = os.pathsep.join([str(here), os.environ.get("PATH", "")])
    return subprocess.run(  # noqa: S603 - our own buf, with arguments made here
        [here / "buf", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=False,
        text=True,
        capture_output=quietly,
    )


def must_run_buf(*arguments: str | Path) -> None:
    """Run buf, whose own message says enough when it fails."""
    if run_buf(*arguments).returncode != 0:
        raise ContractsError(f"buf {arguments[0]} failed; its message stands above")


def last_release() -> Version | None:
    """Find the newest release, if there is any."""
    versions = [Version.parse(image.parent.name) for image in RELEASES.glob(f"*/{IMAGE_NAME}")]
    return max(versions, default=None)


def image_of(version: Version) -> Path:
    """Say where the image of a release is."""
    return RELEASES / str(version) / IMAGE_NAME


def generated_files(directory: Path) -> dict[str, bytes]:
    """Read what was generated, without what Python leaves beside it."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def generate() -> str:
    """Make gen/ anew from proto/."""
    must_run_buf("generate")
    return "gen/ is what proto/ says"


def check_current() -> str:
    """Generate into a directory of its own, and refuse a gen/ that differs from it."""
    with tempfile.TemporaryDirectory() as directory:
        must_run_buf("generate", "--output", directory)
        wanted = generated_files(Path(directory, "gen"))
    found = generated_files(ROOT / "gen")
    stale = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if stale:
        names = "".join(f"\n  gen/{name}" for name in stale)
        raise ContractsError(f"gen/ is not what proto/ says; run `make generate`:{names}")
    return "gen/ is what proto/ says"


def check_breaking() -> str:
    """Refuse contracts that break what was released last."""
    last = last_release()
    if last is None:
        raise ContractsError("no contracts were released yet; run `make release-contracts`")
    must_run_buf("breaking", "--against", image_of(last))
    return f"nothing breaks contracts {last}"


def breaks_release(last: Version) -> bool:
    """Ask buf whether the contracts break a release, and show what does."""
    comparison = run_buf("breaking", "--against", image_of(last), quietly=True)
    if comparison.returncode not in {0, BREAKS}:
        raise ContractsError(f"buf breaking failed: {comparison.stderr.strip()}")
    sys.stderr.write(comparison.stdout)
    return comparison.returncode == BREAKS


def release(wanted: Version | None) -> str:
    """Keep an image of the contracts as the next release, or as the version asked for."""
    must_run_buf("lint")
    check_current()
    last = last_release()
    due = next_version(last, breaks=last is not None and breaks_release(last))
    if wanted is not None and wanted < due:
        raise ContractsError(f"{wanted} is too low: by what has changed, {due} is the next release")
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory, IMAGE_NAME)
        must_run_buf("build", "--exclude-source-info", "--output", image)
        content = image.read_bytes()
    if wanted is None and last is not None and content == image_of(last).read_bytes():
        return f"nothing has changed since contracts {last}"
    version = due if wanted is None else wanted
    image_of(version).parent.mkdir(parents=True)
    image_of(version).write_bytes(content)
    return f"released contracts {version}; commit contracts/releases/{version}"


def run(arguments: Sequence[str]) -> str:
    """Do what the command line asks and return what to say about it."""
    match arguments:
        case ["generate"]:
            return generate()
        case ["current"]:
            return check_current()
        case ["breaking"]:
            return check_breaking()
        case ["release"]:
            return release(None)
        case ["release", version]:
            return release(Version.parse(version))
        case _:
            raise ContractsError(
                "usage: python -m tools.contracts generate|current|breaking|release [VERSION]"
            )


def main() -> int:
    """Run the command; 0 when all is well, 1 with one clear line when it is not."""
    try:
        sys.stdout.write(f"{run(sys.argv[1:])}\n")
    except ContractsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
