"""payment-cli dlq: the messages that consumers gave up on, shown, and given to them again."""

from pathlib import Path
from typing import Final

import click
from google.protobuf.json_format import MessageToJson
from grpc.aio import Channel
from payments.events.v1 import messaging_service_pb2 as pb
from payments.events.v1.dead_letter_pb2 import DeadLetter, DeadLetterState
from payments.events.v1.messaging_service_pb2_grpc import MessagingServiceStub

from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.paging import page_options, tell_page
from cli.tables import moment

_STATES: Final = {
    "dead": DeadLetterState.DEAD_LETTER_STATE_DEAD,
    "replayed": DeadLetterState.DEAD_LETTER_STATE_REPLAYED,
    "all": DeadLetterState.DEAD_LETTER_STATE_UNSPECIFIED,
}
_COLUMNS: Final = ("dead letter", "died (UTC)", "consumer", "type", "key", "tries", "error")


@click.group(cls=CommandGroup)
def dlq() -> None:
    """Messages that a consumer gave up on: the dead letters."""


@dlq.command(name="list")
@click.option("--state", type=click.Choice(list(_STATES)), default="dead", show_default=True)
@click.option("--consumer", default="", help="Only those that this consumer gave up on.")
@click.option("--key", default="", help="Only those with this key, such as a payment's id.")
@page_options
@client_options
def list_(  # noqa: PLR0917 -- one parameter an option
    state: str,
    consumer: str,
    key: str,
    limit: int,
    page_token: str,
    home: Path | None,
    output: str,
) -> None:
    """List dead letters, newest first."""
    request = pb.ListDeadLettersRequest(
        state=_STATES[state], consumer=consumer, key=key, page_size=limit, page_token=page_token
    )

    async def work(channel: Channel) -> pb.ListDeadLettersResponse:
        return await MessagingServiceStub(channel).ListDeadLetters(request)

    page = call(home, work)
    tell_page(page, output, _COLUMNS, [_row(letter) for letter in page.dead_letters])


@dlq.command()
@click.argument("dead_letter_id")
@client_options
def show(dead_letter_id: str, home: Path | None, output: str) -> None:
    """Show one dead letter with its payload, decoded where that is possible."""

    async def work(channel: Channel) -> DeadLetter:
        request = pb.GetDeadLetterRequest(dead_letter_id=dead_letter_id)
        return (await MessagingServiceStub(channel).GetDeadLetter(request)).dead_letter

    letter = call(home, work)
    if output == "json":
        print_json(as_json(letter))
        return
    state = "replayed" if letter.HasField("replayed_at") else "dead"
    click.echo(f"{letter.id}: {state} since {moment(letter.died_at, to='seconds')} UTC")
    for name, text in (
        ("consumer", letter.consumer),
        ("error", letter.error),
        ("tries", str(letter.attempt_count)),
        ("message", letter.message_id or "cannot be read"),
        ("type", letter.type),
        ("topic", letter.topic),
        ("key", letter.key),
        *sorted(letter.headers.items()),
    ):
        click.echo(f"  {name:<12} {text}")
    if letter.HasField("envelope"):
        click.echo(MessageToJson(letter.envelope, preserving_proto_field_name=True))
    else:
        click.echo(f"payload, {len(letter.payload)} bytes: {letter.payload[:200]!r}")


@dlq.command()
@click.argument("dead_letter_ids", nargs=-1, metavar="[DEAD_LETTER_ID]...")
@click.option(
    "--all", "everything", is_flag=True, help="All that are dead, instead of certain ones."
)
@click.option("--consumer", default="", help="With --all: only those of this consumer.")
@click.option("--idempotency-key", help="Asking again under the same key replays nothing more.")
@client_options
def replay(  # noqa: PLR0917 -- one parameter an option
    dead_letter_ids: tuple[str, ...],
    everything: bool,
    consumer: str,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Give dead letters to their consumers again, with all their tries before them.

    \b
    payment-cli dlq replay dlq_0198…
    payment-cli dlq replay --all --consumer notifications
    """
    if bool(dead_letter_ids) == everything:
        raise click.UsageError("name dead letters, or say --all")
    if consumer and not everything:
        raise click.UsageError("--consumer goes with --all")
    request = pb.ReplayDeadLettersRequest(idempotency_key=idempotency_key or new_key())
    if everything:
        request.filter.consumer = consumer
        request.filter.SetInParent()
    else:
        request.ids.dead_letter_ids.extend(dead_letter_ids)

    async def work(channel: Channel) -> pb.ReplayDeadLettersResponse:
        return await MessagingServiceStub(channel).ReplayDeadLetters(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
    else:
        click.echo(f"{response.replayed_count} dead letters are given to their consumers again")


def _row(letter: DeadLetter) -> tuple[str, ...]:
    return (
        letter.id,
        moment(letter.died_at, to="seconds"),
        letter.consumer,
        letter.type,
        letter.key,
        str(letter.attempt_count),
        letter.error,
    )
