"""Style and type checks bite: every family of rules in pyproject.toml is broken once."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

# One line or two that break a rule of the family; the family must be named in the findings.
_OFFENCES = {
    "A": "id = 1",
    "ARG": "def f(unused: int) -> int:\n    return 1",
    "ASYNC": "import time\nasync def f() -> None:\n    time.sleep(1)",
    "B": "def f(x: list[int] = []) -> None: ...",
    "BLE": "try:\n    x = 1\nexcept Exception:\n    x = 2",
    "C4": "x = list([n for n in range(3)])",
    "C90": "def f(a: int) -> int:\n" + "".join(f"    if a == {n}: return {n}\n" for n in range(12)),
    "DTZ": "import datetime\nx = datetime.datetime.now()",
    "E": "x = 'long' + '" + "x" * 100 + "'",
    "F": "import os",
    "FURB": "import re\nx = re.match('a', 'b', re.I)",
    "I": "import sys\nimport os\nprint(os, sys)",
    "ISC": "x = 'a' 'b'",
    "N": "class lower: ...",
    "PERF": "def f(x: dict[str, int]) -> None:\n    for _, v in x.items():\n        print(v)",
    "PGH": "x = 1  # type: ignore",
    "PIE": "class A:\n    '''Doc.'''\n    pass",
    "PL": "x = 1\nif not x == 2:\n    y = 1\nelif x is x: ...",
    "PT": "import pytest\n@pytest.mark.parametrize('a,b', [(1, 2)])\ndef test(a, b): ...",
    "PTH": "import os.path\nx = os.path.exists('a')",
    "RET": "def f(x: int) -> int:\n    y = x\n    return y",
    "RUF": "x = [1] + [*range(3)]",
    "S": "import hashlib\nx = hashlib.md5(b'')",
    "SIM": "x = 1\nif x:\n    if x > 1:\n        print(x)",
    "SLF": "import sys\nx = sys._getframe()._name()",
    "T20": "print('left behind')",
    "TC": "from typing import cast\nx = cast(int, 1)",
    "TRY": "try:\n    x = 1\nexcept ValueError:\n    raise",
    "UP": "from typing import List\nx: List[int] = []",
    "W": "x = 1 ",
}


def _run(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "services").mkdir()
    return tmp_path


def test_every_family_of_style_rules_bites(project: Path) -> None:
    families = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert set(_OFFENCES) == set(families["select"])
    for family, offence in _OFFENCES.items():
        (project / "services" / f"offence_{family.lower()}.py").write_text(f"{offence}\n")
    found = _run(project, "ruff", "check", "--no-cache", "--output-format=concise").stdout
    for family in _OFFENCES:
        lines = [line for line in found.splitlines() if f"offence_{family.lower()}.py" in line]
        assert any(f" {family}" in line for line in lines), (family, lines)


def test_a_file_in_another_layout_is_found(project: Path) -> None:
    (project / "services" / "layout.py").write_text("x = {  'a':1 }\n")
    assert _run(project, "ruff", "format", "--no-cache", "--check").returncode == 1


def test_a_function_without_types_is_found(project: Path) -> None:
    (project / "services" / "untyped.py").write_text("def f(x):\n    return x\n")
    finished = _run(project, "mypy", "--cache-dir=/dev/null", "services")
    assert finished.returncode == 1
    assert "no-untyped-def" in finished.stdout
