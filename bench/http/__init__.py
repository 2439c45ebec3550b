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
from rich.console import Console
from rich.table import Table

from bench import JSON_HELP, keep
from bench.http.arrangements import BASELINES, CONNECTIONS, Report, measure
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
    keep({**asdict(report), "ratios": _ratios(report)}, options.json)
    _print(report)
    return 0


def _print(report: Report) -> None:
    table = Table(f"over HTTP; load average {report.load_average:.1f}")
    for heading in ("a second", "rounds", "p50 ms", "p99 ms", "drained in s", *BASELINES.values()):
        table.add_column(heading, justify="right")
    ratios = _ratios(report)
    for figure in report.figures:
        table.add_row(
            figure.name,
            f"{figure.payments_per_second:,.0f}",
            " ".join(f"{each:,.0f}" for each in figure.rounds),
            f"{figure.p50_ms:.1f}",
            "" if figure.p99_ms is None else f"{figure.p99_ms:.1f}",
            "" if figure.drained_seconds is None else f"{figure.drained_seconds:.1f}",
            *(str(ratios.get(figure.name, {}).get(baseline, "")) for baseline in BASELINES),
        )
    Console(width=130).print(table)
    sys.stdout.write(
        f"the platform's process: {report.service_cpu_ms} ms of processor time a payment,"
        f" {report.service_memory_mb:.0f} MB at most\n"
    )


def _ratios(report: Report) -> dict[str, dict[str, float]]:
    """How many times what each baseline of the same run came to."""
    busy = {each.name: each.payments_per_second for each in report.figures if not each.is_paced}
    return {
        name: {baseline: round(a_second / busy[baseline], 2) for baseline in BASELINES}
        for name, a_second in busy.items()
    }
