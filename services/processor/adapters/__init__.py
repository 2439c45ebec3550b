"""The adapters, one file or folder each; registering one is a line in this table."""

from collections.abc import Mapping
from typing import Final

from services.processor.adapters.apple_pay import KIND as APPLE_PAY
from services.processor.adapters.kind import AdapterKind
from services.processor.adapters.simulated.account import KIND as SIMULATED
from services.processor.adapters.stripe.account import KIND as STRIPE

ADAPTERS: Final[Mapping[str, AdapterKind]] = {
    "apple_pay": APPLE_PAY,
    "simulated": SIMULATED,
    "stripe": STRIPE,
}
