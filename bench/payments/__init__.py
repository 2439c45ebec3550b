"""Payments end to end: in process and over gRPC, against one transaction a write and pgbench.

All of it in one run on one PostgreSQL, fsync on. A payment is planned beforehand, authorized
and captured at the processor `simulated`, which answers at once, booked in the ledger, and told of
in events that the relay takes away. Each arrangement is opened anew for each round and the rounds
take turns, so that whatever else the machine does meets all of them alike.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import uvloop

from bench import JSON_HELP, keep
from bench.payments.arrangements import ONE_A_WRITE, PGBENCH, Report, measure
from bench.payments.table import ratios, show
from services.runtime.garbage import calm_garbage_collection
from services.runtime.telemetry import configure_logging

_SHORT: Final = {PGBENCH: "x pgbench", ONE_A_WRITE: "x one a write"}


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench payments", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each round takes")
    parser.add_argument("--rounds", type=int, default=3, help="the median of this many counts")
    parser.add_argument("--callers", type=int, default=64, help="how many pay at the same time")
    parser.add_argument("--only", help="measure the arrangements whose names contain this")
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="swy-") as folder,
        Path(os.devnull).open("w") as nowhere,
    ):
        Path(folder).chmod(0o711)
        # The lines that tell of a payment in production are made here too, and thrown away.
        configure_logging("bench", stream=nowhere)
        calm_garbage_collection()
        report = uvloop.run(
            measure(
                Path(folder),
                seconds=options.seconds,
                rounds=options.rounds,
                callers=options.callers,
                only=options.only or "",
            )
        )
    keep({**asdict(report), "ratios": ratios(report.figures, _SHORT)}, options.json)
    _print(report)
    return 0


def _print(report: Report) -> None:
    title = f"authorized, captured, booked; load average {report.load_average:.1f}"
    show(title, report.figures, _SHORT)
    if report.service_memory_mb:
        sys.stdout.write(f"peak memory of the service process: {report.service_memory_mb:.0f} MB\n")
