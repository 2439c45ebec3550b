"""What a key can allow, and which of it each kind of caller may be allowed."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from services.kernel.errors import FieldViolation


@unique
class Role(StrEnum):
    """A kind of caller: a merchant sees what is its own, an operator sees everything."""

    MERCHANT = "merchant"
    ADMIN = "admin"


@unique
class Scope(StrEnum):
    """One thing that a key allows."""

    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_WRITE = "refunds:write"
    CONFIG_READ = "config:read"
    CONFIG_WRITE = "config:write"
    LEDGER_READ = "ledger:read"
    LEDGER_WRITE = "ledger:write"
    ADMIN = "admin"


# A configuration holds the platform's fees, and the ledger everybody's money.
_OF_MERCHANTS: Final = frozenset(
    {Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE, Scope.REFUNDS_WRITE, Scope.CONFIG_READ}
)
SCOPES_OF: Final[Mapping[Role, frozenset[Scope]]] = MappingProxyType(
    {Role.MERCHANT: _OF_MERCHANTS, Role.ADMIN: frozenset(Scope)}
)


def check_scopes(scopes: Sequence[str], role: Role) -> Iterator[FieldViolation]:
    for number, scope in enumerate(scopes):
        field = f"scopes[{number}]"
        if scope not in SCOPES_OF[Role.ADMIN]:
            known = ", ".join(Scope)
            yield FieldViolation(field, "scope.known", f"is no scope: there are {known}")
        elif scope not in SCOPES_OF[role]:
            message = f"a key of the role {role} cannot allow {scope}"
            yield FieldViolation(field, "scope.role", message)


def granted(scopes: Sequence[str], role: Role) -> tuple[Scope, ...]:
    """What a key will allow: what was asked for, or all that its role may do, sorted."""
    return tuple(sorted({Scope(scope) for scope in scopes} or SCOPES_OF[role]))
