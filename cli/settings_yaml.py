"""Messages as people write them: YAML whose words are short and whose amounts are numbers.

It is the JSON form of the message but for two things: an enum's value is `manual` instead of
`CAPTURE_METHOD_MANUAL`, and a 64-bit integer is a number.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import click
import yaml
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

AnyMessage = TypeVar("AnyMessage", bound=Message)

# Any, since the generated and the C++ descriptors are two types that are alike.
_Fields: TypeAlias = Mapping[str, Any]

_WIDE = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)


class WrongFile(click.ClickException):
    """What a file says cannot be meant, whatever runs; it is as wrong as an option would be."""

    exit_code = 2


def plain_from_message(message: Message) -> Any:
    """The message as YAML writes it; what is not set is left out."""
    tree = MessageToDict(message, preserving_proto_field_name=True)
    return _shortened(tree, message.DESCRIPTOR.fields_by_name)


def message_from_plain(plain: Any, message: AnyMessage) -> AnyMessage:
    """Fill the message from what YAML said; what it does not know is refused with its name."""
    if not isinstance(plain, Mapping):
        raise WrongFile("settings: must be fields with values")
    try:
        return ParseDict(_spelt_out(plain, message.DESCRIPTOR.fields_by_name), message)
    except ParseError as error:
        raise WrongFile(f"settings: {error}") from error


def dump(plain: Any) -> str:
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return text


def load(text: str, name: str) -> Any:
    """What a YAML file says."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The latter two are of values such as 2026-02-31, and of lists in lists without end.
        raise WrongFile(f"{name} is no YAML: {error}") from error


def _shortened(tree: Mapping[str, Any], fields: _Fields) -> dict[str, Any]:
    return {name: _each(value, fields[name], _short_value) for name, value in tree.items()}


def _spelt_out(tree: Mapping[str, Any], fields: _Fields) -> dict[str, Any]:
    return {
        # What the message does not know is left as it is, for the parser to name.
        name: _each(value, fields[name], _full_value) if name in fields else value
        for name, value in tree.items()
    }


def _each(value: Any, field: FieldDescriptor, change: Any) -> Any:
    if isinstance(value, list):
        return [change(item, field) for item in value]
    return change(value, field)


def _short_value(value: Any, field: FieldDescriptor) -> Any:
    if isinstance(value, str) and field.enum_type is not None:
        return value.removeprefix(_prefix(field.enum_type)).lower()
    if isinstance(value, str) and field.type in _WIDE:
        return int(value)
    if isinstance(value, dict) and (fields := _fields_of(field)) is not None:
        return _shortened(value, fields)
    return value


def _full_value(value: Any, field: FieldDescriptor) -> Any:
    if isinstance(value, str) and field.enum_type is not None:
        name = value.upper()
        prefix = _prefix(field.enum_type)
        return name if name.startswith(prefix) else prefix + name
    if isinstance(value, Mapping) and (fields := _fields_of(field)) is not None:
        return _spelt_out(value, fields)
    return value


def _prefix(enum: EnumDescriptor) -> str:
    """What the values of an enum begin with; the one of zero always ends alike."""
    unspecified: str = enum.values_by_number[0].name
    return unspecified.removesuffix("UNSPECIFIED")


def _fields_of(field: FieldDescriptor) -> _Fields | None:
    """The fields of what is in the field; a map has names of its own."""
    inside = field.message_type
    return None if inside is None or inside.GetOptions().map_entry else inside.fields_by_name
