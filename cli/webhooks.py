"""payment-cli webhook-…: what processors told unasked, what waits, failed, or never came."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import Channel
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_event_pb2 import WebhookEvent, WebhookEventState
from payments.webhooks.v1.webhook_gap_pb2 import MissingEvent
from payments.webhooks.v1.webhook_service_pb2_grpc import WebhookServiceStub

from cli.client import as_json, call, client_options, new_key, print_json
from cli.paging import pages
from cli.tables import moment, print_table, word

_DRIFT: Final = 3
_PAGE_SIZE: Final = 100
_MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
_COLUMNS: Final = ("webhook event", "stored (UTC)", "type", "processor's id", "payment", "why")

_processor_option = click.option("--processor", default="", help="Only of this processor.")
_from_option = click.option(
    "--from", "from_", type=click.DateTime(_MOMENTS), help="From this moment on, in UTC."
)
_before_option = click.option(
    "--before", type=click.DateTime(_MOMENTS), help="Up to this moment, in UTC."
)


@click.command(name="webhook-status")
@click.option("--pending", is_flag=True, help="List what waits to be applied.")
@click.option("--failed", is_flag=True, help="List what could not be applied.")
@click.option("--unmatched", is_flag=True, help="List what belongs to no payment so far.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@_processor_option
@client_options
def webhook_status(  # noqa: PLR0917 -- one parameter an option
    pending: bool,
    failed: bool,
    unmatched: bool,
    limit: int,
    processor: str,
    home: Path | None,
    output: str,
) -> None:
    """How many webhook events are in which state, or which ones those are."""
    states = [
        WebhookEventState.Value(f"WEBHOOK_EVENT_STATE_{name}")
        for name, is_wanted in (("PENDING", pending), ("FAILED", failed), ("UNMATCHED", unmatched))
        if is_wanted
    ]
    if states:
        _show_events(states, limit, processor, home, output)
    else:
        _show_status(processor, home, output)


@click.command(name="webhook-replay")
@click.argument("webhook_event_ids", nargs=-1, metavar="[WEBHOOK_EVENT_ID]...")
@_from_option
@_before_option
@click.option("--failed", is_flag=True, help="Only those that could not be applied.")
@click.option("--idempotency-key", help="Asking again under the same key replays nothing more.")
@client_options
def webhook_replay(  # noqa: PLR0917 -- one parameter an option
    webhook_event_ids: tuple[str, ...],
    from_: datetime | None,
    before: datetime | None,
    failed: bool,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Apply stored webhook events once more; what they told before changes nothing.

    \b
    payment-cli webhook-replay whe_0198…
    payment-cli webhook-replay --failed
    payment-cli webhook-replay --from 2026-03-01T08:00 --before 2026-03-01T09:00
    """
    request = pb.ReplayWebhookEventsRequest(idempotency_key=idempotency_key or new_key())
    request.failed_only = failed
    if webhook_event_ids and (from_ or before):
        raise click.UsageError("name webhook events, or say from when on, and not both")
    if webhook_event_ids:
        request.ids.webhook_event_ids.extend(webhook_event_ids)
    elif failed or from_ or before:
        span = pb.WebhookEventRange(
            created_from=_timestamp(from_), created_before=_timestamp(before)
        )
        request.range.CopyFrom(span)
    else:
        raise click.UsageError("name webhook events, or say --from, --before or --failed")

    async def work(channel: Channel) -> pb.ReplayWebhookEventsResponse:
        return await WebhookServiceStub(channel).ReplayWebhookEvents(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
    else:
        click.echo(f"{response.replayed_count} webhook events are applied once more")


@click.command(name="webhook-gaps")
@_from_option
@_before_option
@click.option("--backfill", is_flag=True, help="Fetch what is missing, instead of listing it.")
@click.option("--idempotency-key", help="Asking again under the same key fetches nothing more.")
@_processor_option
@client_options
def webhook_gaps(  # noqa: PLR0917 -- one parameter an option
    from_: datetime | None,
    before: datetime | None,
    backfill: bool,
    idempotency_key: str | None,
    processor: str,
    home: Path | None,
    output: str,
) -> None:
    """Events that a processor lists and never delivered, of the last day unless said otherwise.

    Exits with 3 when any is listed. What is missing is also found and fetched by itself, a while
    after it should have come.
    """
    if idempotency_key and not backfill:
        raise click.UsageError("--idempotency-key goes with --backfill")
    begin, end = _timestamp(from_), _timestamp(before)
    if backfill:
        fetched = pb.BackfillEventsRequest(
            idempotency_key=idempotency_key or new_key(),
            processor_id=processor,
            occurred_from=begin,
            occurred_before=end,
        )
        _fetch_missing(fetched, home, output)
        return
    listed = pb.ListMissingEventsRequest(
        processor_id=processor, occurred_from=begin, occurred_before=end, page_size=_PAGE_SIZE
    )
    _show_missing(listed, home, output)


def _show_status(processor: str, home: Path | None, output: str) -> None:
    async def work(channel: Channel) -> pb.GetWebhookStatusResponse:
        request = pb.GetWebhookStatusRequest(processor_id=processor)
        return await WebhookServiceStub(channel).GetWebhookStatus(request)

    status = call(home, work)
    if output == "json":
        print_json(as_json(status))
        return
    rows = [(word(WebhookEventState.Name(each.state)), str(each.count)) for each in status.counts]
    print_table(("state", "events"), rows)
    if status.HasField("oldest_pending_age"):
        click.echo(f"the oldest has been pending for {_seconds(status.oldest_pending_age)} s")
    if status.HasField("compared_through"):
        click.echo(f"lists compared up to {moment(status.compared_through)} UTC")
    if status.HasField("oldest_missing"):
        oldest = status.oldest_missing
        click.echo(
            f"missing since {moment(oldest.occurred_at)} UTC:"
            f" {oldest.processor_event_id} ({oldest.event_type}) of {oldest.processor_id}"
        )


def _show_events(
    states: Sequence[WebhookEventState.ValueType],
    limit: int,
    processor: str,
    home: Path | None,
    output: str,
) -> None:
    request = pb.ListWebhookEventsRequest(states=states, processor_id=processor, page_size=limit)

    async def work(channel: Channel) -> pb.ListWebhookEventsResponse:
        return await WebhookServiceStub(channel).ListWebhookEvents(request)

    page = call(home, work)
    if output == "json":
        print_json(as_json(page))
        return
    print_table(("state", *_COLUMNS), [_row(event) for event in page.events])
    if page.next_page_token:
        click.echo(f"more than these {limit}: --limit up to 100")


def _row(event: WebhookEvent) -> tuple[str, ...]:
    return (
        word(WebhookEventState.Name(event.state)),
        event.id,
        moment(event.created_at),
        event.event_type,
        event.processor_event_id,
        event.payment_id or "-",
        event.last_failure.message or "-",
    )


def _show_missing(request: pb.ListMissingEventsRequest, home: Path | None, output: str) -> None:
    async def work(channel: Channel) -> list[MissingEvent]:
        listed = pages(WebhookServiceStub(channel).ListMissingEvents, request)
        return [event async for page in listed for event in page.events]

    missing = call(home, work)
    if output == "json":
        print_json([as_json(event) for event in missing])
    else:
        rows = [
            (e.processor_id, e.processor_event_id, e.event_type, moment(e.occurred_at))
            for e in missing
        ]
        print_table(("processor", "processor's id", "type", "happened (UTC)"), rows)
        click.echo(f"{len(missing)} events are missing")
    if missing:
        click.get_current_context().exit(_DRIFT)


def _fetch_missing(request: pb.BackfillEventsRequest, home: Path | None, output: str) -> None:
    async def work(channel: Channel) -> pb.BackfillEventsResponse:
        return await WebhookServiceStub(channel).BackfillEvents(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
    else:
        click.echo(f"{response.stored_count} events were fetched")


def _timestamp(given: datetime | None) -> Timestamp | None:
    if given is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(given.replace(tzinfo=UTC))
    return timestamp


def _seconds(age: Duration) -> int:
    return round(age.ToTimedelta().total_seconds())
