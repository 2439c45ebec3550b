"""A call that changes something, and may be repeated: by its key, within its merchant's calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from services.access.domain.checks import check_text
from services.kernel.errors import Conflict, FieldViolation, InvalidArgument, Reason
from services.kernel.ids import MerchantId

T = TypeVar("T")

_FIELD: Final = "idempotency_key"
_KEY_CHARACTERS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for, field by field; an operator's calls belong to no merchant."""

    merchant_id: MerchantId | None
    idempotency_key: str
    said: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.idempotency_key:
            message = "must not be empty"
            raise InvalidArgument(
                "a change needs an idempotency key",
                reason=Reason.IDEMPOTENCY_KEY_MISSING,
                violations=[FieldViolation(_FIELD, "idempotency_key.present", message)],
            )
        violations = check_text(
            _FIELD, self.idempotency_key, at_least=1, at_most=_KEY_CHARACTERS_MAX
        )
        if found := list(violations):
            raise InvalidArgument("the idempotency key breaks a rule", violations=found)

    def require_same(self, said_before: Mapping[str, str]) -> None:
        """Refuse another request under a key that was used, naming what differs."""
        names = sorted(self.said.keys() | said_before.keys())
        differing = [name for name in names if self.said.get(name) != said_before.get(name)]
        if differing:
            message = "is not what it was when this idempotency key was used first"
            raise Conflict(
                f"the idempotency key {self.idempotency_key!r} was used before, for a request"
                f" that differs in {', '.join(differing)}",
                reason=Reason.IDEMPOTENCY_KEY_REUSED,
                violations=[
                    FieldViolation(name, "idempotency_key.same_body", message) for name in differing
                ],
            )


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a call has come to: what there is now, and whether an earlier call did it."""

    outcome: T
    replayed: bool
