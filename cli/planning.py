"""A payment as the command line asks for one, and its plan as people read it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final

import click
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.payment_method_pb2 import CardNetwork, PaymentInstrument, PaymentMethod
from payments.core.v1.payment_terms_pb2 import CaptureMethod
from payments.plan.v1.payment_plan_pb2 import CANDIDATE_VERDICT_KEPT, PaymentPlan

from cli.amounts import typed_payment
from cli.client import new_key
from cli.tables import amount_text
from services.kernel.ids import RequestId
from services.kernel.money import Currency

_METHODS: Final = ("card", "apple_pay")
_NETWORKS: Final = tuple(
    name.removeprefix("CARD_NETWORK_").lower() for name in CardNetwork.keys()[1:]
)

_OPTIONS: Final = (
    click.option("--currency", default="USD", show_default=True, help="An ISO 4217 code."),
    click.option("--method", type=click.Choice(_METHODS), default="card", show_default=True),
    click.option(
        "--token",
        default="pm_card_visa",
        show_default=True,
        help="The processor's token of what the customer pays with; never a card number.",
    ),
    click.option("--network", type=click.Choice(_NETWORKS), help="The card's scheme, for routing."),
    click.option(
        "--capture",
        type=click.Choice(["automatic", "manual"]),
        help="When it is taken; as the merchant's configuration says unless given.",
    ),
    click.option("--country", default="", help="The customer's country, for routing, such as DE."),
    click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Kept with it."),
)
WISH_NAMES: Final = ("currency", "method", "token", "network", "capture", "country", "metadata")
"""What the options are called that make up a wish."""


@dataclass(frozen=True)
class Wish:
    """What is to be paid with, and what routing may go by."""

    currency: str
    method: str
    token: str
    network: str | None
    capture: str | None
    country: str
    metadata: tuple[str, ...]

    def request(self, amount: str, merchant_id: str, key: str | None) -> CoreRequestContext:
        """The request that a merchant would make of it, received now."""
        request = CoreRequestContext(
            request_id=RequestId.new(),
            merchant_id=merchant_id,
            idempotency_key=key or new_key(),
            idempotency_key_generated=key is None,
            amount=typed_payment(amount, Currency(self.currency)),
            instrument=PaymentInstrument(
                method=PaymentMethod.Value(f"PAYMENT_METHOD_{self.method.upper()}"),
                token=self.token,
                network=CardNetwork.Value(f"CARD_NETWORK_{_word(self.network)}"),
            ),
            capture_method=CaptureMethod.Value(f"CAPTURE_METHOD_{_word(self.capture)}"),
            country=self.country,
            metadata=dict(map(_pair, self.metadata)),
        )
        request.received_at.FromDatetime(datetime.now(UTC))
        return request


def wish_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that takes a `wish`."""

    @wraps(command)
    def with_wish(*args: Any, **given: Any) -> Any:
        wish = Wish(**{name: given.pop(name) for name in WISH_NAMES})
        return command(*args, wish=wish, **given)

    for option in reversed(_OPTIONS):
        with_wish = option(with_wish)
    return with_wish


def plan_lines(plan: PaymentPlan) -> Iterator[str]:
    """Each step of a plan, and why each processor is a candidate or is none."""
    for step in plan.steps:
        yield f"  planned for step {step.index}, {amount_text(step.amount)}:"
        for decision in step.decisions:
            verdict = "kept" if decision.verdict == CANDIDATE_VERDICT_KEPT else "left out"
            yield f"    {decision.processor_id} {verdict}: {decision.message} ({decision.rule})"


def _word(chosen: str | None) -> str:
    return (chosen or "unspecified").upper()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--metadata")
    return name, value
