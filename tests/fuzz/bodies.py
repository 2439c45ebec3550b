"""Bodies of payment requests: without a meaning, messy, or anything at all."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from gateway.reading import RULES
from tests.fuzz import hostile
from tests.fuzz.probes import Mark

Body = dict[str, Any]

FIELDS: Final = (
    *("amount", "currency", "method", "payment_method", "user_id", "email", "country"),
    *("capture_method", "metadata", "steps", "split_policy", "return_url", "confirm"),
)
_STRIPE: Final = (
    *("payment_method_types", "payment_method_data", "automatic_payment_methods", "customer"),
    *("receipt_email", "statement_descriptor", "description", "application_fee_amount"),
    *("transfer_data", "off_session", "setup_future_usage", "confirmation_method", "source"),
    *("shipping", "on_behalf_of", "error_on_requires_action", "client_secret", "livemode"),
)
_TOKENS: Final = ("pm_card_visa", "pm_card_mastercard", "pm_card_visa_chargeDeclined")
_REPEATED: Final = re.compile("⟨(\\d+) of ([^⟩]*)⟩")
# Their examples need a query, another address or a configuration without a currency.
_ELSEWHERE: Final = frozenset({"currency.missing"})


def canonical(chance: Random, mark: Mark) -> Body:
    """A request that leaves no issue."""
    return {
        "amount": chance.choice((1, 50, 1250, 99_999)),
        "currency": chance.choice(("USD", "EUR", "JPY")),
        "method": "card",
        "payment_method": chance.choice(_TOKENS),
        "user_id": mark.text,
        "metadata": {"order": mark.text},
    }


def as_bytes(body: object) -> bytes:
    return json.dumps(body).encode()


def _unreadable(chance: Random, mark: Mark) -> bytes:
    """Bytes that are no JSON object."""
    whole = as_bytes(canonical(chance, mark))
    ways: Sequence[Callable[[], bytes]] = (
        lambda: whole[: chance.randrange(1, len(whole))],
        lambda: b"[" + whole + b"]",
        lambda: as_bytes(hostile.text(chance)),
        lambda: whole + whole,
        lambda: b"\xff" + whole,
        lambda: whole.replace(b"card", b"ca\xed\xa0\x80rd", 1),
        lambda: whole.replace(b"card", b"ca\x00rd", 1),
        lambda: whole.replace(mark.text.encode(), b"a\\u0000b", 1),
        lambda: whole.replace(mark.text.encode(), b"\\ud800", 1),
        lambda: whole.replace(b'"method"', b'"\\udfff"', 1),
        lambda: whole.replace(b'"card"', b"NaN", 1),
        lambda: whole.replace(b'"card"', b"-Infinity", 1),
        lambda: whole.replace(b'"card"', b"[" * 40 + b"]" * 40, 1),
        lambda: b'{"amount": 1, "a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        lambda: b'{"amount": 1, "a": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
        lambda: b'{"amount": ' + b"9" * chance.randrange(100, 6_000) + b"}",
        lambda: b'{"amount": 7, ' + whole[1:],
        lambda: b'{"amount": 1e' + b"9" * chance.randrange(3, 30) + b"}",
        lambda: as_bytes({"amount": 1, "a": list(range(1_100))}),
        lambda: as_bytes({"amount": 1, "note": "x" * chance.choice((65_536, 200_000))}),
        lambda: b"amount=1250&currency=USD&method=card",
        lambda: b"<payment><amount>1250</amount></payment>",
        lambda: hostile.junk(chance, chance.randrange(1, 400)) + b"}",
        lambda: b"",
    )
    return chance.choice(ways)()


_AMOUNTS: Final[Sequence[Any]] = (
    *(0, -1, -(2**63), 2**63, 2**64, 10**30, 0.001, 1e300, 1e-300, -0.01, True, False),
    *("about ten", "10.005 USD", "€10 USD", "-5", "0", "9" * 40, "1e400", "½", "١٢ دينار x"),
    *([], [1250], {}, {"value": -1}, "1,2,3.4.5", "0x10", "NaN", "∞", "9223372036854775808"),
)


def _meaningless(chance: Random, mark: Mark) -> bytes:
    """A request of which one field at least cannot be given a meaning."""
    body = canonical(chance, mark)
    wrong: Sequence[Mapping[str, Any]] = (
        {"amount": chance.choice(_AMOUNTS)},
        {"currency": chance.choice(("XYZ", "XX", "US", "DOLLARS?", "💶", 999, [], True, "XAU"))},
        {"method": chance.choice(("barter", "cash", "crypto", "iou", 17, "mandate"))},
        {"steps": ["card"] * 17},
        {"steps": chance.choice((1, "card,card", True))},
        {"user_id": chance.choice(("x" * 256, "a\u0007b", [17], {"a": {"b": 1}}))},
        {"metadata": {f"k{number}": "v" for number in range(51)}},
        {"plan_id": chance.choice(("gold", "plan_1", 17))},
        {"capture_method": chance.choice(("later", "sometimes", 17))},
        {"split_policy": chance.choice(("half", "first"))},
        {"total": 1, "amount": 2},
        {"merchant_id": "mer_019aa5a0000070008000000000000009"},
        {"idempotency_key": chance.choice(("", "another key", 1.5, "x" * 256))},
    )
    return as_bytes({**body, **chance.choice(wrong)})


def _with_card(chance: Random, mark: Mark) -> bytes:
    """A request with a card number, or a security code, somewhere."""
    body, card = canonical(chance, mark), hostile.card(chance)
    digits = int(chance.choice(hostile.CARDS))
    name = chance.choice((*FIELDS, *_STRIPE, "note", "idempotency_key", "x" * 60))
    ways: Sequence[Mapping[str, Any]] = (
        {name: card},
        {name: digits},
        {"metadata": {"note": card}},
        {"metadata": {card: "note"}},
        {"deep": [{"er": [{"still": [card]}]}]},
        {card: name},
        {"payment_method_data": {"card": {"number": card, "cvc": "123"}}},
        {"source": {"object": "card", "number": digits}},
        {"cvc": str(chance.randrange(100, 1_000))},
        {"steps": [{"method": "card", "payment_method": card}]},
    )
    return as_bytes({**body, **chance.choice(ways)})


_HOPELESS: Final = (_unreadable, _unreadable, _meaningless, _meaningless, _with_card)


def hopeless(chance: Random, mark: Mark) -> bytes:
    """A body that no payment can be made of."""
    return chance.choice(_HOPELESS)(chance, mark)


_EXAMPLES: Final = tuple(
    _REPEATED.sub(lambda match: match[2] * int(match[1]), rule.example)
    .replace("⟨BOM⟩", "\ufeff")
    .encode()
    for rule in RULES.values()
    if not rule.refuses and not rule.example.startswith("POST") and rule.id not in _ELSEWHERE
)


def messy(chance: Random, mark: Mark) -> bytes:
    """A request that means something, in another form than the canonical one."""
    if chance.random() < 0.3:
        return chance.choice(_EXAMPLES)
    body = canonical(chance, mark)
    amount: Sequence[Any] = (
        *(
            "1250",
            "$12.50",
            "12,50 EUR",
            "1.234,56 €",
            12.5,
            "USD 5",
            "¥500",
            "1,234.50",
            "kr 5 NOK",
        ),
        *({"value": 1250, "currency": "USD"}, "12.50", 1e3, " 10 ", "US$ 7"),
    )
    ways: Sequence[Callable[[], Body]] = (
        lambda: {**body, "amount": chance.choice(amount)},
        lambda: {**body, "currency": chance.choice(("usd", " Eur ", "US$", "€"))},
        lambda: {**body, "method": chance.choice(("visa", "Apple Pay", "applePay", "CARD"))},
        # What is null counts as not sent, and leaves no issue.
        lambda: {**body, chance.choice(_STRIPE): [hostile.nested(chance)]},
        lambda: {**body, hostile.text(chance)[:60] or "?": [hostile.scalar(chance)]},
        lambda: {"payment": body},
        lambda: {"data": {"attributes": body}},
        lambda: {_camel(name): value for name, value in body.items()},
        lambda: {name: value for name, value in body.items() if name != "currency"},
        lambda: {**body, "email": "ann at example"},
        lambda: {**body, "country": "Germany"},
        lambda: {**body, "return_url": hostile.text(chance) or "no address"},
        lambda: {**body, "metadata": {"a": hostile.nested(chance), "b": [1]}},
    )
    return as_bytes(chance.choice(ways)())


def anything(chance: Random, mark: Mark) -> bytes:
    """A request of known fields with any values in them."""
    body = canonical(chance, mark)
    for _ in range(chance.randrange(1, 4)):
        body[chance.choice((*FIELDS, *_STRIPE))] = hostile.nested(chance)
    whole = as_bytes(body)
    if chance.random() < 0.3:
        place = chance.randrange(len(whole))
        return whole[:place] + hostile.junk(chance, chance.randrange(1, 3)) + whole[place + 1 :]
    return whole


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first.capitalize() + "".join(word.capitalize() for word in rest)
