"""Payments over HTTP: as fast as 64 connections are answered, and what one takes at 50 a second.

The whole platform in a process of its own, PostgreSQL with fsync on and the callers beside it, all
on this machine. A payment is read, planned, authorized and captured at the processor `simulated`,
which answers at once, booked in the ledger, and told of in events that the relay takes away. Two
baselines run in turn with it: requests that do nothing, which is what HTTP itself costs, and
pgbench writing the same rows, which is what the database costs.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from bench import JSON_HELP, keep
from bench.http.arrangements import BASELINES, CONNECTIONS, Report, measure
from bench.payments.table import ratios, show
from services.runtime.garbage import calm_garbage_collection


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench http", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each round takes")
    parser.add_argument("--rounds", type=int, default=3, help="the median of this many counts")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="swy-") as folder:
        Path(folder).chmod(0o711)
        calm_garbage_collection()
        report = uvloop.run(
            measure(
                Path(folder),
                seconds=options.seconds,
                rounds=options.rounds,
                connections=options.connections,
            )
        )
    keep({**asdict(report), "ratios": ratios(report.figures, BASELINES)}, options.json)
    _print(report)
    return 0


def _print(report: Report) -> None:
    show(f"over HTTP; load average {report.load_average:.1f}", report.figures, BASELINES)
    sys.stdout.write(
        f"the platform's process: {report.service_cpu_ms} ms of processor time a payment,"
        f" {report.service_memory_mb:.0f} MB at most\n"
    )
