"""What every command that talks to a running Switchyard shares: finding it, and showing answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc.aio import Channel

from services.runtime.rpc import connect, typed_errors
from services.runtime.run_file import RunFile
from services.runtime.settings import load_settings

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_TIMEOUT_SECONDS: Final = 30.0
_NUMERIC: Final = ("_minor", "_count", "_checked", "_total", "_unsealed", "_number", "epoch")


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


def as_json(message: Message) -> Any:
    """The message as its documented JSON form, amounts and counts as numbers."""
    return _numbers(
        MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    )


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _numbers(value: Any) -> Any:
    # Protobuf's JSON writes 64-bit integers as text, for JavaScript's sake.
    if isinstance(value, dict):
        return {
            name: _number(text) if name.endswith(_NUMERIC) else _numbers(text)
            for name, text in value.items()
        }
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return value


def _number(value: Any) -> Any:
    with suppress(TypeError, ValueError):
        return int(value)
    return value
