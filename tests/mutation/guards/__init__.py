"""Every guard that is tried, room by room."""

from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Final

from tests.mutation.guard import Guard
from tests.mutation.guards import (
    callers,
    ledger,
    payment_orders,
    payment_rows,
    payments,
    reading,
    sending,
    writing,
)

ROOMS: Final[Mapping[str, Sequence[Guard]]] = MappingProxyType(
    {
        "The ledger": ledger.GUARDS,
        "Rows of payments": payment_rows.GUARDS,
        "What a payment may do": payments.GUARDS,
        "Who may change a payment, and when": payment_orders.GUARDS,
        "Sending money out": sending.GUARDS,
        "Who is heard": callers.GUARDS,
        "What is said": reading.GUARDS,
        "Writing and messages": writing.GUARDS,
    }
)
GUARDS: Final[Sequence[Guard]] = tuple(chain.from_iterable(ROOMS.values()))
