"""What a customer pays with, from the fields of a request and of the steps of a split."""

from functools import partial
from typing import Final

from gateway.reading.amounts import read_amount, unnest
from gateway.reading.methods import (
    Means,
    combined,
    instrument_of,
    read_method,
    read_network,
    read_token,
)
from gateway.reading.names import Claims, Vocabulary, gather_object
from gateway.reading.notes import Notes
from gateway.reading.picking import pick
from gateway.reading.rules import amounts, fields
from gateway.reading.rules import payments as rules
from gateway.reading.units import CurrencyTerms, read_currency, unit_of
from services.kernel.context import MAX_STEPS, PaymentInstrument, PaymentMethod, StepPreference
from services.kernel.money import Currency, Money

MEANS_KEYS: Final = ("method", "payment_method", "network")
MEANS_ALIASES: Final = {
    "payment_method_type": "method",
    "payment_method_types": "method",
    "payment_type": "method",
    "payment_method_id": "payment_method",
    "payment_method_data": "payment_method",
    "payment_token": "payment_method",
    "token": "payment_method",
    "source": "payment_method",
    "card_network": "network",
    "card_brand": "network",
    "brand": "network",
}
_STEP: Final = Vocabulary(
    canonical={key: key for key in (*MEANS_KEYS, "max_amount", "currency")},
    aliases={**MEANS_ALIASES, "type": "method", "amount": "max_amount", "max": "max_amount"},
)
_READERS: Final = (
    ("method", read_method),
    ("payment_method", read_token),
    ("network", read_network),
)


def read_means(claims: Claims, notes: Notes) -> Means | None:
    """What the fields tell together; None if one of them, or all together, mean nothing."""
    told: list[tuple[str, Means]] = []
    is_sound = True
    for name, read in _READERS:
        if name in claims:
            means = pick(claims, name, read, notes)
            if means is None:
                is_sound = False
            else:
                told.append((claims[name][0][0], means))
    return combined(told, notes) if is_sound else None


def read_instrument(claims: Claims, notes: Notes) -> PaymentInstrument | None:
    """The instrument that was sent, if one was."""
    means = read_means(claims, notes)
    return None if means is None else instrument_of(means, "payment_method", notes)


def read_instrument_or_card(
    claims: Claims, path: str, steps: tuple[StepPreference, ...], notes: Notes
) -> PaymentInstrument | None:
    """The instrument that was sent; without one that of the first step; without steps a card."""
    means = read_means(claims, notes)
    if means is None:
        return None
    instrument = instrument_of(means, f"{path}payment_method", notes)
    if instrument is not None:
        return instrument
    if steps:
        notes.note(rules.METHOD_FROM_STEPS, f"{path}method", "", steps[0].instrument.method)
        return steps[0].instrument
    notes.note(rules.METHOD_DEFAULT, f"{path}method", "", PaymentMethod.CARD)
    return PaymentInstrument(PaymentMethod.CARD, None, means.network)


def read_steps(
    notes: Notes, path: str, value: object, *, currency: Currency | None
) -> tuple[StepPreference, ...] | None:
    """The steps of a split, all in the currency of the payment."""
    if isinstance(value, dict):
        notes.note(rules.STEPS_SINGLE, path, value)
        value = [value]
    if not isinstance(value, list):
        notes.note(fields.WRONG_TYPE, path, value)
        return None
    if len(value) > MAX_STEPS:
        notes.note(rules.STEPS_TOO_MANY, path, message=f"It has {len(value)}.")
        return None
    steps = [
        _read_step(f"{path}[{number}]", step, currency, notes) for number, step in enumerate(value)
    ]
    return tuple(step for step in steps if step is not None)


def _read_step(
    path: str, value: object, currency: Currency | None, notes: Notes
) -> StepPreference | None:
    if isinstance(value, str):
        notes.note(rules.STEPS_NAMED, path, value)
        value = {"method": value}
    if not isinstance(value, dict):
        notes.note(fields.WRONG_TYPE, path, value)
        return None
    claims = gather_object(_STEP, value, f"{path}.", notes)
    instrument = read_instrument_or_card(claims, f"{path}.", (), notes)
    max_amount = _read_max_amount(claims, currency, notes)
    return None if instrument is None else StepPreference(instrument, max_amount)


def _read_max_amount(claims: Claims, currency: Currency | None, notes: Notes) -> Money | None:
    unnest(claims, "max_amount", notes)
    stated = pick(claims, "currency", read_currency, notes)
    if stated is None and currency is not None:
        stated = unit_of(currency)
    read = partial(read_amount, terms=CurrencyTerms(stated))
    max_amount = pick(claims, "max_amount", read, notes)
    if max_amount is not None and currency not in (None, max_amount.currency):
        path, value = claims["max_amount"][0]
        notes.note(amounts.CURRENCY_OF_ANOTHER, path, value, message=f"That is {currency}.")
        return None
    return max_amount
