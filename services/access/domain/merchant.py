"""A merchant: someone whose payments the platform handles."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from services.access.domain.checks import check_email, check_text
from services.kernel.errors import FieldViolation, InFlight, InvalidArgument, NotFound, Reason
from services.kernel.ids import MerchantId

_NAME_CHARACTERS_MAX = 200


@unique
class MerchantState(StrEnum):
    """Whether a merchant may ask for payments; a suspended one can still read and refund."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant as it stands; each change makes the next version."""

    id: MerchantId
    name: str
    state: MerchantState
    contact_email: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MerchantDraft:
    """A merchant that is to be."""

    name: str
    contact_email: str

    def __post_init__(self) -> None:
        _require_none([*_check_name(self.name), *check_email("contact_email", self.contact_email)])


@dataclass(frozen=True, slots=True)
class MerchantChange:
    """What is to be different; None leaves it as it is."""

    merchant_id: MerchantId
    expected_version: int
    name: str | None
    contact_email: str | None
    state: MerchantState | None

    def __post_init__(self) -> None:
        _require_none(list(self._violations()))

    def _violations(self) -> Iterator[FieldViolation]:
        if self.expected_version < 1:
            message = "must be the version that was read"
            yield FieldViolation("expected_version", "version.range", message)
        if self.name is not None:
            yield from _check_name(self.name)
        if self.contact_email is not None:
            yield from check_email("contact_email", self.contact_email)
        if (self.name, self.contact_email, self.state) == (None, None, None):
            yield FieldViolation("name", "change.present", "nothing is to be changed")


def unknown_merchant(merchant_id: MerchantId) -> NotFound:
    """The refusal of an id that no merchant has."""
    return NotFound(f"there is no merchant {merchant_id}")


def stale(expected: int, found: int) -> InFlight:
    """The refusal of a change by someone who has not read the newest version."""
    return InFlight(
        f"the newest version is {found}, not {expected}: read it, then change it again",
        reason=Reason.STALE_VERSION,
        details={"newest_version": str(found)},
    )


def _check_name(name: str) -> Iterator[FieldViolation]:
    yield from check_text("name", name, at_least=1, at_most=_NAME_CHARACTERS_MAX)


def _require_none(violations: list[FieldViolation]) -> None:
    if violations:
        raise InvalidArgument("the merchant breaks a rule", violations=violations)
