"""Amounts as they are typed: in major units, such as 12.50, of a currency that is known."""

import click
from payments.core.v1.money_pb2 import Money as MoneyMessage

from services.kernel.errors import InvalidArgument
from services.kernel.money import Currency, Money

_EXAMPLE_MINOR = 12_500


def typed_amount(text: str, currency: Currency) -> MoneyMessage:
    """What was typed; an amount that cannot be read is told with one that can."""
    try:
        amount = Money.parse(text, currency)
    except InvalidArgument as error:
        like = Money(_EXAMPLE_MINOR, currency).decimal_text
        raise click.UsageError(
            f"{text!r} is no amount of {currency}: write it like {like} ({error.message})"
        ) from error
    return MoneyMessage(amount_minor=amount.amount_minor, currency=currency.code)


def typed_payment(text: str, currency: Currency) -> MoneyMessage:
    """What was typed, where somebody is to pay it."""
    amount = typed_amount(text, currency)
    if amount.amount_minor <= 0:
        raise click.UsageError(f"{text!r} cannot be paid: an amount is above zero")
    return amount
