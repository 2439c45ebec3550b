"""What parameters an operation takes, and how Stripe refuses what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sandbox.errors import InvalidRequest
from sandbox.forms import Form

_INT64: Final = 2**63
_MAX_METADATA_KEYS: Final = 50
_MAX_METADATA_KEY: Final = 40
_MAX_METADATA_VALUE: Final = 500
_COMPARISONS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Parameter(Protocol):
    """A kind of value; reads it from the form or refuses it."""

    def read(self, value: Any, name: str) -> Any:
        """The value in Python's terms; `name` is what a refusal calls it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string; empty means unset (None), unless one is required."""

    max_length: int = 5_000
    unsettable: bool = True

    def read(self, value: Any, name: str) -> str | None:
        """The text, or None to unset it."""
        if not isinstance(value, str):
            raise InvalidRequest(f"Invalid string: {_shown(value)}", param=name)
        if not value:
            if self.unsettable:
                return None
            raise _empty(name)
        if len(value) > self.max_length:
            raise InvalidRequest(
                f"Invalid string: {name} must be at most {self.max_length} characters.",
                code="parameter_invalid_string_length",
                param=name,
            )
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number within bounds."""

    minimum: int = -_INT64
    maximum: int = _INT64 - 1

    def read(self, value: Any, name: str) -> int:
        """The number."""
        if value == "":
            raise _empty(name)
        text = value if isinstance(value, str) and len(value) <= 20 else "?"
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
            raise _bad_integer(f"Invalid integer: {_shown(value)}", name)
        number = int(text)
        if number < self.minimum:
            raise _bad_integer(f"This value must be greater than or equal to {self.minimum}.", name)
        if number > self.maximum:
            raise _bad_integer(f"This value must be less than or equal to {self.maximum}.", name)
        return number


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""

    def read(self, value: Any, name: str) -> bool:
        """The truth."""
        if value == "":
            raise _empty(name)
        if value not in ("true", "false"):
            raise InvalidRequest(f"Invalid boolean: {_shown(value)}", param=name)
        return bool(value == "true")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    unsettable: bool = False

    def read(self, value: Any, name: str) -> str | None:
        """The word."""
        if value == "":
            if self.unsettable:
                return None
            raise _empty(name)
        if value not in self.words:
            raise InvalidRequest(
                f"Invalid {name}: must be one of {', '.join(self.words)}", param=name
            )
        return str(value)


@dataclass(frozen=True, slots=True)
class ListOf:
    """Several values of one kind."""

    item: Parameter
    maximum: int = 100

    def read(self, value: Any, name: str) -> tuple[Any, ...]:
        """The values in order; an empty string is the empty list."""
        if value == "":
            return ()
        if not isinstance(value, dict) or not all(index.isdigit() for index in value):
            raise InvalidRequest("Invalid array", param=name)
        if len(value) > self.maximum:
            raise InvalidRequest(f"Array must have at most {self.maximum} elements", param=name)
        ordered = sorted(value, key=int)
        return tuple(self.item.read(value[index], f"{name}[{index}]") for index in ordered)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Up to 50 texts by name. None unsets them all; an empty value unsets one."""

    def read(self, value: Any, name: str) -> dict[str, str] | None:
        """The texts to merge into what is there."""
        if value == "":
            return None
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise InvalidRequest("Invalid metadata: must be a set of key-value pairs", param=name)
        if len(value) > _MAX_METADATA_KEYS:
            raise InvalidRequest(f"Metadata can have up to {_MAX_METADATA_KEYS} keys", param=name)
        for key, text in value.items():
            if len(key) > _MAX_METADATA_KEY or len(text) > _MAX_METADATA_VALUE:
                raise InvalidRequest(
                    f"Metadata keys can have up to {_MAX_METADATA_KEY} characters and"
                    f" values up to {_MAX_METADATA_VALUE}",
                    param=f"{name}[{key[:_MAX_METADATA_KEY]}]",
                )
        return dict(value)


@dataclass(frozen=True, slots=True)
class Anything:
    """Accepted as Stripe accepts it, and of no effect here; docs/sandbox.md lists which."""

    def read(self, value: Any, name: str) -> Any:  # noqa: ARG002 (the protocol's signature)
        """The value as it came."""
        return value


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A moment, or bounds around one; read as SQL comparisons with `created`."""

    def read(self, value: Any, name: str) -> list[tuple[str, int]]:
        """Pairs of an SQL comparison and its bound."""
        if not isinstance(value, dict):
            return [("=", Integer().read(value, name))]
        for key in value:
            if key not in _COMPARISONS:
                raise _unknown([f"{name}[{key}]"])
        return [(_COMPARISONS[k], Integer().read(v, f"{name}[{k}]")) for k, v in value.items()]


@dataclass(frozen=True, slots=True)
class Fields:
    """Named parameters, some of them required: an operation's whole input, or a nested object."""

    fields: Mapping[str, Parameter]
    required: tuple[str, ...] = ()
    unsettable: bool = field(default=False)

    def read(self, value: Any, name: str = "") -> dict[str, Any] | None:
        """Every parameter that was given, read."""
        if value == "" and self.unsettable:
            return None
        if not isinstance(value, dict):
            raise InvalidRequest("Invalid object", param=name)
        if unknown := [_nested(name, key) for key in value if key not in self.fields]:
            raise _unknown(unknown)
        for key in self.required:
            if key not in value:
                raise InvalidRequest(
                    f"Missing required param: {_nested(name, key)}.",
                    code="parameter_missing",
                    param=_nested(name, key),
                )
        return {k: self.fields[k].read(v, _nested(name, k)) for k, v in value.items()}


def read_parameters(schema: Fields, form: Form) -> dict[str, Any]:
    """An operation's parameters, or the refusal Stripe would answer with."""
    return schema.read(form) or {}


def _nested(name: str, key: str) -> str:
    return f"{name}[{key}]" if name else key


def _shown(value: Any) -> str:
    # Card numbers arrive in the wrong field too, so nothing that long is ever repeated.
    text = str(value)
    return text if len(text) <= 10 else f"{text[:4]}…"


def _empty(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"You passed an empty string for '{name}', which cannot be unset.",
        code="parameter_invalid_empty",
        param=name,
    )


def _bad_integer(message: str, name: str) -> InvalidRequest:
    return InvalidRequest(message, code="parameter_invalid_integer", param=name)


def _unknown(names: list[str]) -> InvalidRequest:
    plural = "s" if len(names) > 1 else ""
    return InvalidRequest(
        f"Received unknown parameter{plural}: {', '.join(names)}",
        code="parameter_unknown",
        param=names[0],
    )


ADDRESS: Final = Fields(
    {k: Text() for k in ("city", "country", "line1", "line2", "postal_code", "state")},
    unsettable=True,
)
SHIPPING: Final = Fields(
    {
        "address": ADDRESS,
        "name": Text(),
        "phone": Text(),
        "carrier": Text(),
        "tracking_number": Text(),
    },
    required=("address", "name"),
    unsettable=True,
)
BILLING_DETAILS: Final = Fields(
    {"address": ADDRESS, "email": Text(), "name": Text(), "phone": Text(), "tax_id": Text()}
)
EXPAND: Final = ListOf(Text(unsettable=False))


def operation(
    *groups: Mapping[str, Parameter], required: tuple[str, ...] = (), **fields: Parameter
) -> Fields:
    """The parameters of an operation, alone or in groups; every one takes `expand`."""
    merged: dict[str, Parameter] = {"expand": EXPAND}
    for group in (*groups, fields):
        merged |= group
    return Fields(merged, required=required)


def listing(**filters: Parameter) -> Fields:
    """The parameters of a list operation: its filters, and how to page."""
    paging: dict[str, Parameter] = {
        "limit": Integer(1, 100),
        "starting_after": Text(unsettable=False),
        "ending_before": Text(unsettable=False),
        "created": TimeRange(),
    }
    return Fields(paging | filters | {"expand": EXPAND})
