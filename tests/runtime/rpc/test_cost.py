"""The measurement of the channels runs, and shows what it is kept for."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_call_in_process_costs_less_than_one_over_the_network(tmp_path: Path) -> None:
    found = tmp_path / "made" / "channel.json"
    bench("channel", "--json", str(found), "--in-process-calls", "2000", "--network-calls", "200")
    costs = json.loads(found.read_text())
    alone = {
        c["channel"]: c["call_us"] for c in costs if (c["loop"], c["concurrent"]) == ("uvloop", 1)
    }
    assert alone["in-process"] < alone["network"]


def test_table_has_a_row_for_each_arrangement() -> None:
    table = bench("channel", "--in-process-calls", "64", "--network-calls", "64").stdout
    assert (table.count("in-process"), table.count("network")) == (3, 2)


def test_unknown_measurement_lists_those_there_are() -> None:
    result = bench("nothing")
    assert result.returncode == 2
    assert "channel" in result.stderr
