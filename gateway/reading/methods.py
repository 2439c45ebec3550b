"""Ways to pay: words, networks, wallets and tokens, in whichever field they were sent."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gateway.reading.names import snake_case
from gateway.reading.notes import Notes, Place
from gateway.reading.rules import fields
from gateway.reading.rules import payments as rules
from gateway.reading.rules.rule import Rule
from gateway.reading.values import plain_form
from services.kernel.context import CardNetwork, PaymentInstrument, PaymentMethod

_MAX_TOKEN_CHARACTERS: Final = 255

_METHODS: Final = {method.value: method for method in PaymentMethod}
_WORDS: Final = {
    **dict.fromkeys(
        ("card", "cards", "creditcard", "credit", "debitcard", "debit", "paymentcard", "cc"),
        PaymentMethod.CARD,
    ),
    **dict.fromkeys(("applepay", "apple"), PaymentMethod.APPLE_PAY),
}
# Wallets whose token the processors take as that of a card.
_CARD_WALLETS: Final = frozenset({"googlepay", "gpay", "google", "androidpay"})
_NETWORKS: Final = {
    "visa": CardNetwork.VISA,
    "mastercard": CardNetwork.MASTERCARD,
    "mc": CardNetwork.MASTERCARD,
    "americanexpress": CardNetwork.AMERICAN_EXPRESS,
    "amex": CardNetwork.AMERICAN_EXPRESS,
    "discover": CardNetwork.DISCOVER,
    "dinersclub": CardNetwork.DINERS_CLUB,
    "diners": CardNetwork.DINERS_CLUB,
    "jcb": CardNetwork.JCB,
    "unionpay": CardNetwork.UNIONPAY,
}
_TOKEN: Final = re.compile(r"(?:pm|tok|src|card|btok|pmt)_[A-Za-z0-9_]+", re.ASCII)
# Another processor's token has some digit in it, which the name of a method has not.
_TOKEN_LIKE: Final = re.compile(r"(?=.*\d)[A-Za-z0-9_.:-]+|" + _TOKEN.pattern, re.ASCII)
_APPLE_TOKEN: Final = re.compile(r"tok_apple_?pay", re.ASCII | re.IGNORECASE)

_METHOD_NAMES: Final = frozenset({"type", "method", "payment_method_type"})
_TOKEN_NAMES: Final = frozenset({"id", "token", "payment_method", "payment_method_id"})
_NETWORK_NAMES: Final = frozenset({"network", "brand", "card_network", "card_brand"})


class Means(NamedTuple):
    """What one field tells about how a customer pays."""

    method: PaymentMethod | None = None
    token: str | None = None
    network: CardNetwork | None = None


def read_method(notes: Notes, path: str, value: object) -> Means | None:
    """What the field that should name a method tells; None if it names none that is known."""
    if isinstance(value, dict):
        return _of_object(Place(notes, path, value), value)
    if isinstance(value, list) and value:
        rule = rules.METHOD_SEVERAL if len(value) > 1 else rules.METHOD_FORM
        notes.note(rule, path, value, value[0])
        return read_method(notes, f"{path}[0]", value[0])
    means = _of_method_text(Place(notes, path, value), value) if isinstance(value, str) else None
    if means is None:
        notes.note(rules.METHOD_UNKNOWN, path, value)
    return means


def _of_method_text(place: Place, text: str) -> Means | None:
    if text in _METHODS:
        return Means(_METHODS[text])
    token = text.strip()
    if _TOKEN.fullmatch(token) and len(token) <= _MAX_TOKEN_CHARACTERS:
        place.note(rules.TOKEN_IN_METHOD, token)
        return Means(token=token)
    return _of_word(place, text)


def read_token(notes: Notes, path: str, value: object) -> Means | None:
    """What the field that should hold a token tells; None if it is neither token nor method."""
    place = Place(notes, path, value)
    if isinstance(value, dict):
        return _of_object(place, value)
    if not isinstance(value, str):
        place.note(fields.WRONG_TYPE)
        return None
    token = value.strip()
    if not token:
        place.note(fields.TEXT_EMPTY)
        return Means()
    means = None if _TOKEN.fullmatch(token) else _of_word(place, token)
    if means is not None:
        place.note(rules.METHOD_IN_TOKEN, means.method or "")
        return means
    return _of_token_text(place, token)


def _of_token_text(place: Place, token: str) -> Means | None:
    if len(token) > _MAX_TOKEN_CHARACTERS:
        place.note(fields.TEXT_TOO_LONG, message=f"At most {_MAX_TOKEN_CHARACTERS}.")
        return None
    if not _TOKEN_LIKE.fullmatch(token):
        place.note(rules.METHOD_UNKNOWN)
        return None
    if token != place.value:
        place.note(fields.TEXT_TRIMMED, token)
    return Means(token=token)


def read_network(notes: Notes, path: str, value: object) -> Means:
    """What the field that should name a card network tells; one that is not known tells nothing."""
    network = _NETWORKS.get(plain_form(value)) if isinstance(value, str) else None
    if network is None:
        notes.note(rules.NETWORK_UNKNOWN, path, value)
    elif network != value:
        notes.note(fields.CHOICE_FORM, path, value, network)
    return Means(network=network)


def combined(claims: Sequence[tuple[str, Means]], notes: Notes) -> Means | None:
    """What several fields tell together; None if they contradict one another."""
    if not claims:
        return Means()
    first_path, known = claims[0]
    for path, means in claims[1:]:
        joined = _joined(known, means)
        if joined is None:
            told = f"{first_path} and {path} differ."
            notes.note(fields.CONFLICT, path, means.method or means.token or "", message=told)
            return None
        known = joined
    return known


def _joined(first: Means, second: Means) -> Means | None:
    joined = Means(
        first.method or second.method, first.token or second.token, first.network or second.network
    )
    contradicts = (
        (second.method or joined.method) != joined.method
        or (second.token or joined.token) != joined.token
        or (second.network or joined.network) != joined.network
    )
    return None if contradicts else joined


def instrument_of(means: Means, path: str, notes: Notes) -> PaymentInstrument | None:
    """The instrument, if a method was told or follows from the token or the network."""
    method = means.method
    if method is None and means.token is not None:
        is_apple = _APPLE_TOKEN.match(means.token) is not None
        method = PaymentMethod.APPLE_PAY if is_apple else PaymentMethod.CARD
        notes.note(rules.METHOD_FROM_TOKEN, path, means.token, method)
    if method is None:
        return None
    return PaymentInstrument(method, means.token, means.network)


def _of_word(place: Place, text: str) -> Means | None:
    meaning = _meaning(text)
    if meaning is None:
        return None
    rule, means = meaning
    place.note(rule, means.method or "")
    return means


def _meaning(text: str) -> tuple[Rule, Means] | None:
    word = plain_form(text)
    if word in _WORDS:
        return rules.METHOD_FORM, Means(_WORDS[word])
    if word in _NETWORKS:
        return rules.METHOD_NETWORK, Means(PaymentMethod.CARD, network=_NETWORKS[word])
    if word in _CARD_WALLETS:
        return rules.METHOD_WALLET, Means(PaymentMethod.CARD)
    return None


def _of_object(place: Place, value: Mapping[str, object]) -> Means | None:
    notes, path = place.notes, place.path
    place.note(rules.METHOD_NESTED)
    told: list[tuple[str, Means | None]] = []
    for key, inner in value.items():
        inner_path, spelled = f"{path}.{key}", snake_case(key)
        if inner is None:
            continue
        if spelled in _METHOD_NAMES:
            told.append((inner_path, read_method(notes, inner_path, inner)))
        elif spelled in _TOKEN_NAMES:
            told.append((inner_path, read_token(notes, inner_path, inner)))
        elif spelled in _NETWORK_NAMES:
            told.append((inner_path, read_network(notes, inner_path, inner)))
        elif isinstance(inner, dict) and (meaning := _meaning(key)) is not None:
            told.append((inner_path, meaning[1]))
            told.append((inner_path, _of_object(Place(notes, inner_path, inner), inner)))
        else:
            notes.note(fields.UNKNOWN, inner_path, inner)
    known = [(inner_path, means) for inner_path, means in told if means is not None]
    return combined(known, notes) if len(known) == len(told) else None
