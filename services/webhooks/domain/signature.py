"""Whether a body was signed by one of our accounts, not long ago.

The header is `t=<seconds>,v1=<hex>[,v1=<hex>…]`: an HMAC-SHA256 over the time, a dot and the exact
bytes. The secret that made it names the account. While a secret is exchanged an account has two or
more, and the sender may sign with each: any of ours that made any of theirs will do.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from typing import Final

WINDOW: Final = timedelta(seconds=300)

_HEADER_CHARACTERS_MAX: Final = 4_096
_SIGNATURES_MAX: Final = 16
_TIME: Final = re.compile(r"[0-9]{1,11}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@unique
class Flaw(StrEnum):
    """Why a signature is not taken."""

    MISSING = "missing"
    MALFORMED = "malformed"
    NOT_ASCII = "not_ascii"
    FORGED = "forged"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from_the_future"
    NO_SECRET = "no_secret"  # noqa: S105 -- a reason, not a secret


@dataclass(frozen=True, slots=True)
class Account:
    """One account at a processor: the processors that use it, and the secrets it signs with."""

    adapter: str
    processor_ids: tuple[str, ...]
    """The first one names the account; its events may belong to an attempt of any."""
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return self.processor_ids[0]


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a well-formed header says."""

    time: str
    digests: tuple[str, ...]


def verify(header: str, body: bytes, accounts: Sequence[Account], at: datetime) -> Account | Flaw:
    """The account that signed the body, or why none can be said to have."""
    if not accounts:
        return Flaw.NO_SECRET
    signed = _read(header)
    if isinstance(signed, Flaw):
        return signed
    account = _signer(signed, body, accounts)
    if account is None:
        return Flaw.FORGED
    age = at - datetime.fromtimestamp(int(signed.time), UTC)
    if age > WINDOW:
        return Flaw.EXPIRED
    return Flaw.FROM_THE_FUTURE if age < -WINDOW else account


def _read(header: str) -> _Signed | Flaw:
    if not header.strip():
        return Flaw.MISSING
    if not header.isascii():
        return Flaw.NOT_ASCII
    if len(header) > _HEADER_CHARACTERS_MAX:
        return Flaw.MALFORMED
    pairs = [item.strip().partition("=") for item in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    digests = tuple(value for name, _, value in pairs if name == "v1")
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return Flaw.MALFORMED
    if not 1 <= len(digests) <= _SIGNATURES_MAX or not all(map(_DIGEST.fullmatch, digests)):
        return Flaw.MALFORMED
    return _Signed(times[0], digests)


def _signer(signed: _Signed, body: bytes, accounts: Sequence[Account]) -> Account | None:
    payload = signed.time.encode() + b"." + body
    for account in accounts:
        for secret in account.secrets:
            expected = hmac.digest(secret, payload, "sha256").hex()
            if any(hmac.compare_digest(expected, digest) for digest in signed.digests):
                return account
    return None
