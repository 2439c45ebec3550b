"""`python -m tests.fuzz`: any number of requests with any seed, and what they came to."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.probes import Door, Mark
from tests.fuzz.run import Outcome, again, fuzz


def main() -> int:
    """Run it; 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--count", type=int, default=20_000, help="how many requests to send")
    parser.add_argument("--only", metavar="DOOR:NUMBER", type=_mark, help="one request of a run")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}, {1 if options.only else options.count} requests\n")
    sys.stdout.flush()
    folder = Path(tempfile.mkdtemp(prefix="sy-", dir="/tmp"))
    folder.chmod(0o711)
    outcome = asyncio.run(_run(folder, options))
    sys.stdout.write(f"{outcome}\n")
    sys.stdout.write(f"the database, the log and the spans are in {folder}\n")
    return 1 if outcome.findings else 0


async def _run(folder: Path, options: argparse.Namespace) -> Outcome:
    if options.only is not None:
        return await again(folder, seed=options.seed, mark=options.only)
    return await fuzz(folder, seed=options.seed, count=options.count)


def _mark(text: str) -> Mark:
    door, _, number = text.partition(":")
    if door not in (Door.HTTP, Door.RPC) or not number.isdecimal():
        raise argparse.ArgumentTypeError("it wants http:NUMBER or rpc:NUMBER, as findings name it")
    return Mark(Door(door), int(number))


if __name__ == "__main__":
    sys.exit(main())
