"""`python -m tests.load`: every promise at full size, or a share of it, and what it came to."""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.load.measured import Measured, Sizes
from tests.load.run import load

_FIGURES = Path(".switchyard") / "load.json"


def main() -> int:
    """Measure; 1 when a promise is not held."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the full size")
    parser.add_argument("--json", type=Path, default=_FIGURES, help="where the figures go")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}, scale {options.scale:g}\n")
    folder = Path(tempfile.mkdtemp(prefix="sy-", dir="/tmp"))
    folder.chmod(0o711)
    began = time.monotonic()
    found = asyncio.run(load(folder, sizes=Sizes(options.scale), seed=options.seed, say=_say))
    _show(found)
    sys.stdout.write(f"{time.monotonic() - began:.0f} s; databases and logs are in {folder}\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    figures = {"scale": options.scale, "seed": options.seed, "figures": list(map(asdict, found))}
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(each.is_held for each in found) else 1


def _say(each: Measured) -> None:
    sys.stdout.write(f"{'held' if each.is_held else 'NOT HELD'}: {each.aim}: {each.measured}\n")
    sys.stdout.flush()


def _show(found: list[Measured]) -> None:
    table = Table("aim", "measured", "held", show_lines=True)
    for each in found:
        table.add_row(each.aim, each.measured, "yes" if each.is_held else "NO")
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
