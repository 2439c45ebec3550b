"""`python -m tests.mutation`: remove each guard, and tell which test has missed it."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.checkout import copy_checkout, prove_isolation
from tests.mutation.guard import ROOT, Guard, Rotten
from tests.mutation.guards import GUARDS, ROOMS
from tests.mutation.page import PAGE, rendered
from tests.mutation.run import Finding, remove_each, run_tests

_NAME_CHARACTERS = max(len(guard.name) for guard in GUARDS)


def main() -> int:
    """Try the guards; 1 when one of them is not missed."""
    options = _options()
    if options.page:
        PAGE.write_text(rendered(ROOMS))
        return 0
    wanted = [guard for guard in GUARDS if any(name in guard.name for name in options.only)]
    if not wanted:
        sys.stdout.write(f"there is no guard {' '.join(options.only)}\n")
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sy-guards-", dir="/tmp") as folder:
        try:
            findings = asyncio.run(_try(wanted, Path(folder), options))
        except Rotten as rot:
            sys.stdout.write(f"{rot}\n")
            return 1
    seconds = time.monotonic() - began
    _write_json(options.json, findings, seconds)
    missed = [finding for finding in findings if finding.killed_by is None]
    sys.stdout.write(
        f"{len(findings)} guards removed, {len(findings) - len(missed)} missed by a test,"
        f" in {seconds:.0f} s\n"
    )
    for finding in missed:
        sys.stdout.write(f"\nNOBODY MISSES {finding.guard.name}: {finding.problem}\n")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names of guards")
    parser.add_argument("--json", type=Path, default=ROOT / ".switchyard" / "mutation.json")
    parser.add_argument("--at-once", type=int, choices=(1, 2), default=2)
    parser.add_argument("--timeout-seconds", type=float, default=180.0, help="of one guard's tests")
    parser.add_argument("--page", action="store_true", help="only write docs/guards.md anew")
    return parser.parse_args()


async def _try(guards: Sequence[Guard], folder: Path, options: argparse.Namespace) -> list[Finding]:
    for guard in guards:
        guard.check()
    base = copy_checkout(folder / "whole")
    prove_isolation(base, folder / "broken")
    tests = sorted({test for guard in guards for test in guard.tests})
    sys.stdout.write(f"{len(guards)} guards; {len(tests)} tests with all of them in place ...\n")
    sys.stdout.flush()
    await _require_green(base, tests, options)
    return await remove_each(
        base,
        guards,
        at_once=options.at_once,
        timeout_seconds=options.timeout_seconds,
        tell=_tell,
    )


async def _require_green(base: Path, tests: Sequence[str], options: argparse.Namespace) -> None:
    """Raise Rotten unless the tests pass while nothing is removed."""
    began = time.monotonic()
    # Tests of one file stay together, since they share what it prepares.
    size = -(-len(tests) // options.at_once)
    shares = [tests[begin : begin + size] for begin in range(0, len(tests), size)]
    patience_seconds = options.timeout_seconds * len(tests)
    runs = (run_tests(base, share, patience_seconds) for share in shares)
    for whole in await asyncio.gather(*runs):
        if whole.code != 0:
            raise Rotten(f"the tests fail before anything is removed:\n{whole.said[-4000:]}")
    sys.stdout.write(f"they pass, in {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()


def _tell(finding: Finding) -> None:
    by = finding.killed_by or "NOBODY"
    sys.stdout.write(
        f"{finding.guard.name:{_NAME_CHARACTERS}}  {finding.seconds:5.1f} s  {by}\n"
        f"{'':{_NAME_CHARACTERS}}  {finding.guard.protects}\n"
    )
    sys.stdout.flush()


def _write_json(path: Path, findings: Sequence[Finding], seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "seconds": round(seconds, 1),
        "guards": [
            {
                "name": each.guard.name,
                "protects": each.guard.protects,
                "files": sorted({cut.file for cut in each.guard.cuts}),
                "killed_by": each.killed_by,
                "seconds": round(each.seconds, 1),
                "problem": each.problem,
            }
            for each in findings
        ],
    }
    path.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
