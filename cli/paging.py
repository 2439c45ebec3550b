"""Lists that come page by page: asking for one page, showing it, or reading all of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import click
from google.protobuf.message import Message

from cli.client import Command, as_json, print_json
from cli.tables import print_table


class _Page(Protocol):
    next_page_token: str


class _Request(Protocol):
    page_token: str


RequestT = TypeVar("RequestT", bound=_Request)
PageT = TypeVar("PageT", bound=_Page)


def page_options(command: Command) -> Command:
    """The two options of a list: --limit and --page-token."""
    limit = click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
    page_token = click.option(
        "--page-token", default="", help="Where to go on, from the page before."
    )
    return limit(page_token(command))


def tell_page(
    page: Message, output: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Show one page, for people or for programs."""
    if output == "json":
        print_json(as_json(page))
        return
    print_table(columns, rows)
    tell_more(page)


def tell_more(page: Any) -> None:
    """Say how to ask for the page after this one, if there is any."""
    if page.next_page_token:
        click.echo(f"more: --page-token {page.next_page_token}")


async def pages(
    ask: Callable[[RequestT], Awaitable[PageT]], request: RequestT
) -> AsyncIterator[PageT]:
    """Page after page, to the last one."""
    while True:
        page = await ask(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
