"""Lists for people: tables, moments, amounts, and the contracts' words."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1.money_pb2 import Money as MoneyMessage
from rich.console import Console
from rich.table import Table

from services.kernel.money import Currency, Money

_PIPED_WIDTH: Final = 1_000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    # What is piped has no width to fit into, and an id that is broken in two is none.
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    # Names come from outside, and are no instructions to the console.
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)


def moment(timestamp: Timestamp, to: str = "minutes") -> str:
    """In UTC, and only as exact as is said."""
    return timestamp.ToDatetime().isoformat(" ", to)


def word(name: str) -> str:
    """The last word of an enum's value: API_KEY_STATE_ACTIVE is active."""
    return name.rsplit("_", 1)[-1].lower()


def phrase(name: str, lead: str) -> str:
    """The words of an enum's value: POSTING_STATE_NEEDS_RECONCILIATION is needs reconciliation."""
    return name.removeprefix(lead).lower().replace("_", " ")


def amount_text(amount: MoneyMessage) -> str:
    return str(Money(amount.amount_minor, Currency(amount.currency)))
