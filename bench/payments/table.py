"""Figures beside the baselines of the same run, as numbers and as a table."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.payments.load import Figure

_WIDTH: Final = 130


def ratios(figures: Sequence[Figure], baselines: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """How many times what each baseline came to, where it was measured."""
    busy = {each.name: each.payments_per_second for each in figures if not each.is_paced}
    return {
        name: {each: round(a_second / busy[each], 2) for each in baselines if each in busy}
        for name, a_second in busy.items()
    }


def show(title: str, figures: Sequence[Figure], baselines: Mapping[str, str]) -> None:
    """Print a row for each figure; a baseline is a column under its short name."""
    table = Table(title)
    for heading in ("a second", "rounds", "p50 ms", "p99 ms", "drained in s", *baselines.values()):
        table.add_column(heading, justify="right")
    compared = ratios(figures, baselines)
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.payments_per_second:,.0f}",
            " ".join(f"{each:,.0f}" for each in figure.rounds),
            f"{figure.p50_ms:.1f}",
            "" if figure.p99_ms is None else f"{figure.p99_ms:.1f}",
            "" if figure.drained_seconds is None else f"{figure.drained_seconds:.1f}",
            *(str(compared.get(figure.name, {}).get(each, "")) for each in baselines),
        )
    Console(width=_WIDTH).print(table)
