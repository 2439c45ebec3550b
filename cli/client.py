"""What every command that talks to a running Switchyard shares: finding it, and showing answers."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc.aio import Channel

from services.runtime.rpc import connect, typed_errors
from services.runtime.run_file import RunFile
from services.runtime.settings import load_settings

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_TIMEOUT_SECONDS: Final = 30.0
_WIDE: Final = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)


def client_options(command: Command) -> Command:
    """The two options that such a command has beside its own: --home and --output."""
    home = click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the running system's run.json lies.",
    )
    output = click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="For people, or for programs.",
    )
    return home(output(command))


def call(home: Path | None, work: Callable[[Channel], Awaitable[T]]) -> T:
    """Run `work` with a channel to the system under this home; errors come back typed."""
    run = RunFile.read(load_settings(switchyard_home=home).switchyard_home)

    async def with_channel() -> T:
        async with connect(
            run.grpc_address, token=run.grpc_token, default_timeout_seconds=_TIMEOUT_SECONDS
        ) as channel:
            with typed_errors():
                return await work(channel)

    return asyncio.run(with_channel())


def new_key() -> str:
    """An idempotency key of this one call, for who gave none."""
    return f"cli:{uuid.uuid4()}"


def as_json(message: Message) -> Any:
    """The message as its documented JSON form, 64-bit integers as numbers.

    Protobuf's JSON writes those as text, for JavaScript's sake.
    """
    tree = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _with_numbers(tree, message.DESCRIPTOR)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


# Any, since the generated and the C++ descriptors are two types that are alike.
def _with_numbers(tree: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    for name, value in tree.items():
        field = descriptor.fields_by_name[name]
        if field.type in _WIDE:
            tree[name] = [int(each) for each in value] if isinstance(value, list) else int(value)
        elif _is_ours(field.message_type):
            for each in value if isinstance(value, list) else (value,):
                _with_numbers(each, field.message_type)
    return tree


def _is_ours(inside: Any) -> bool:
    """Whether it is a message with fields: a map's names are callers', a moment is a text."""
    return (
        inside is not None
        and not inside.GetOptions().map_entry
        and not inside.full_name.startswith("google.protobuf.")
    )
