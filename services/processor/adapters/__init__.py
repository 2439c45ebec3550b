"""The adapters, one file or folder each; registering one is a line in this table."""

from collections.abc import Mapping
from typing import Final

from services.processor.adapters import apple_pay
from services.processor.adapters.kind import AdapterKind
from services.processor.adapters.simulated import account as simulated
from services.processor.adapters.stripe import account as stripe

ADAPTERS: Final[Mapping[str, AdapterKind]] = {
    "apple_pay": apple_pay.KIND,
    "simulated": simulated.KIND,
    "stripe": stripe.KIND,
}
