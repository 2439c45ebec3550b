"""The key itself: how one is made, told from a typing error, and kept without being kept.

A key is `syk_`, 43 letters and digits that stand for 256 random bits, and six more that are their
CRC-32. So a scanner of source code can be sure of what it has found, and a key that was copied
badly is refused without asking anybody. What is stored is HMAC-SHA256 of it under the pepper, a
secret of the installation: with the tables alone nobody can make a key or try out a guess.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

from services.kernel.errors import Unauthenticated

_PREFIX: Final = "syk_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_BYTES: Final = 32
_RANDOM_CHARACTERS: Final = 43
_CHECK_CHARACTERS: Final = 6
_FORM: Final = re.compile(
    rf"{_PREFIX}([0-9A-Za-z]{{{_RANDOM_CHARACTERS}}})([0-9A-Za-z]{{{_CHECK_CHARACTERS}}})", re.ASCII
)
_SHOWN_CHARACTERS: Final = 4


@dataclass(frozen=True, slots=True)
class Pepper:
    """The installation's secret, under which keys are kept."""

    value: bytes = field(repr=False)

    def digest(self, key: str) -> bytes:
        """What is stored of a key, and what it is found by."""
        return hmac.digest(self.value, key.encode(), hashlib.sha256)

    @property
    def mark(self) -> bytes:
        """By which a process knows that it has the pepper of the stored keys."""
        return hmac.digest(self.value, b"which pepper is this", hashlib.sha256)


def new_secret() -> str:
    """A key that nobody has seen yet."""
    body = _base62(int.from_bytes(secrets.token_bytes(_RANDOM_BYTES)), _RANDOM_CHARACTERS)
    return _PREFIX + body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether it is a key, copied whole; not whether anyone made it."""
    match = _FORM.fullmatch(text)
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def hint_of(key: str) -> str:
    """As much of a key as may be shown, for people to know it again by."""
    shown = len(_PREFIX) + _SHOWN_CHARACTERS
    return f"{key[:shown]}…{key[-_SHOWN_CHARACTERS:]}"


def malformed() -> Unauthenticated:
    """The refusal of what is no key."""
    return Unauthenticated(
        "this is no API key: one is syk_ and 49 letters and digits, copied whole",
        details={"cause": "malformed"},
    )


def unknown() -> Unauthenticated:
    """The refusal of a key that nobody made."""
    return Unauthenticated("the API key is not known here", details={"cause": "unknown"})


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_CHARACTERS)


def _base62(number: int, characters: int) -> str:
    digits = []
    for _ in range(characters):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
