"""A proposal for the next version, and what becomes of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from services.kernel.errors import (
    Conflict,
    FieldViolation,
    InFlight,
    InvalidArgument,
    NotFound,
    Reason,
)
from services.kernel.ids import MerchantId
from services.merchant_config.domain.checks import check_text
from services.merchant_config.domain.settings import MerchantConfig, MerchantSettings

_KEY_CHARACTERS_MAX = 255
_COMMENT_CHARACTERS_MAX = 500
_AUTHOR_CHARACTERS_MAX = 255
# The one after it must still be a bigint.
_EXPECTED_VERSION_MAX = 2**63 - 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """Settings that are to become the version after the one that their author has read."""

    idempotency_key: str
    merchant_id: MerchantId
    expected_version: int
    settings: MerchantSettings
    comment: str
    author: str

    def __post_init__(self) -> None:
        if not self.idempotency_key:
            message = "must not be empty"
            raise InvalidArgument(
                "a change of configuration needs an idempotency key",
                reason=Reason.IDEMPOTENCY_KEY_MISSING,
                violations=[FieldViolation("idempotency_key", "idempotency_key.present", message)],
            )
        violations = [
            *check_text(
                "idempotency_key", self.idempotency_key, at_least=1, at_most=_KEY_CHARACTERS_MAX
            ),
            *check_text("comment", self.comment, at_least=0, at_most=_COMMENT_CHARACTERS_MAX),
            *check_text("author", self.author, at_least=1, at_most=_AUTHOR_CHARACTERS_MAX),
        ]
        if not 0 <= self.expected_version <= _EXPECTED_VERSION_MAX:
            message = f"must be 0 to {_EXPECTED_VERSION_MAX}"
            violations.append(FieldViolation("expected_version", "version.range", message))
        if violations:
            raise InvalidArgument("the proposal breaks a rule", violations=violations)

    def fingerprint(self, settings_text: str) -> bytes:
        """What the key stands for; the author of a repeated call may be another."""
        said = f"{self.expected_version}\n{self.comment}\n{settings_text}"
        return hashlib.sha256(said.encode()).digest()


@dataclass(frozen=True, slots=True)
class Stored:
    """What is told to who proposed: the version that stands, and whether it stood before."""

    config: MerchantConfig
    replayed: bool


def invalid(violations: Sequence[FieldViolation]) -> InvalidArgument:
    """The refusal of settings that break rules."""
    fields = ", ".join(dict.fromkeys(violation.field for violation in violations))
    return InvalidArgument(
        f"the configuration breaks a rule at {fields}",
        reason=Reason.CONFIG_INVALID,
        violations=violations,
    )


def stale(expected: int, newest: int) -> InFlight:
    """The refusal of a proposal whose author has not read the newest version."""
    return InFlight(
        f"the newest version is {newest}, not {expected}: read it, then propose again",
        reason=Reason.STALE_VERSION,
        details={"newest_version": str(newest)},
    )


def key_reused(key: str, version: int) -> Conflict:
    """The refusal of a key that already stands for another proposal."""
    message = (
        f"the idempotency key {key!r} was used before, for another proposal,"
        f" which became version {version}"
    )
    return Conflict(
        message,
        reason=Reason.IDEMPOTENCY_KEY_REUSED,
        violations=[FieldViolation("idempotency_key", "idempotency_key.same_body", message)],
        details={"version": str(version)},
    )


def not_found(merchant_id: MerchantId, version: int) -> NotFound:
    """The refusal of a version that nobody has made."""
    message = (
        f"{merchant_id} has no configuration of version {version}"
        if version
        else f"{merchant_id} has no configuration yet"
    )
    return NotFound(message, reason=Reason.CONFIG_VERSION_NOT_FOUND)
