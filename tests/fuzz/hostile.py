"""Values that break things: card numbers, texts that cannot be kept, numbers beyond every bound."""

from collections.abc import Sequence
from random import Random
from typing import Any, Final

CARDS: Final = ("4242424242424242", "5555555555554444", "378282246310005", "6011111111111117")
TEXTS: Final = (
    "",
    " ",
    "\t\r\n",
    "null",
    "undefined",
    "NaN",
    "true",
    "-1",
    "0x1F",
    "1e999",
    "'; drop table payments.payments; --",
    "%s%n%x",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "\u202egnp.exe",
    "\ufeff",
    "\ufffd\uffff",
    "\uff21\uff22\uff23\uff11\uff12",
    "١٢٣",
    "a\u0301" * 50,
    "👩‍👩‍👧‍👦" * 20,
    "x" * 300,
    "x" * 5_000,
    "pay_",
    "pay_00000000000000000000000000000000",
    "pay_ffffffffffffffffffffffffffffffff",
    "\\",
    '"',
    "\x7f",
    "\x85",
)
UNKEEPABLE: Final = ("a\x00b", "\x00", "\x1b[31mred", "\x07")
INTEGERS: Final = (
    *(0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63),
    *(-(2**63), 2**64, 10**30),
)
SCALARS: Final[Sequence[Any]] = (
    None,
    True,
    False,
    0.1,
    -0.0,
    1e-300,
    1e300,
    1.5,
    [],
    {},
    [[]],
    {"": None},
)


def card(chance: Random) -> str:
    """A card number as people write it."""
    digits = chance.choice(CARDS)
    form = chance.randrange(4)
    if form == 0:
        return digits
    if form == 1:
        return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))
    if form == 2:
        return "-".join(digits[place : place + 4] for place in range(0, len(digits), 4))
    return f"pay with {digits} please"


def text(chance: Random) -> str:
    """A text that somebody did not think of; it can be written as UTF-8."""
    if chance.random() < 0.6:
        return chance.choice(TEXTS)
    length = chance.choice((1, 3, 17, 40, 41, 100, 255, 256, 300))
    first, last = chance.choice(((0x20, 0x7E), (0xA0, 0x24F), (0x4E00, 0x9FFF), (0x1F300, 0x1F6FF)))
    few = "".join(map(chr, chance.choices(range(first, last + 1), k=8)))
    return (few * (length // 8 + 1))[:length]


def scalar(chance: Random) -> Any:
    """A JSON value of any type."""
    draw = chance.random()
    if draw < 0.45:
        return text(chance)
    if draw < 0.75:
        return chance.choice(INTEGERS)
    return chance.choice(SCALARS)


def nested(chance: Random, depth: int = 3) -> Any:
    """A JSON value with values in it."""
    if depth == 0 or chance.random() < 0.4:
        return scalar(chance)
    if chance.random() < 0.5:
        return [nested(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {text(chance)[:40]: nested(chance, depth - 1) for _ in range(chance.randrange(4))}


def junk(chance: Random, length: int) -> bytes:
    return chance.randbytes(length)
