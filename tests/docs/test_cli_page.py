"""docs/cli.md has an example of every command there is."""

import re
from collections.abc import Iterator

import click
import pytest

from cli.main import main
from tests.docs.pages import blocks


def _commands(command: click.Command, *words: str) -> Iterator[str]:
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, *words, name)
    else:
        yield " ".join(words)


@pytest.mark.parametrize("command", list(_commands(main)))
def test_the_command_has_an_example(command: str) -> None:
    examples = "\n".join(
        block.text for block in blocks("docs/cli.md") if block.language in ("bash", "console")
    )
    assert re.search(rf"payment-cli {re.escape(command)}\b", examples)
