"""payment-cli postings: what payments owe to the ledger, and trying again what was given up."""

import getpass
from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.posting_pb2 import Posting, PostingKind, PostingState

from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.paging import page_options, tell_page
from cli.tables import amount_text, moment, phrase

# What the contract lets one call take.
_AT_ONCE_MAX: Final = 10_000
_STATE_LEAD: Final = "POSTING_STATE_"
_STATES: Final = ("pending", "posted", "needs_reconciliation")
_COLUMNS: Final = ("posting", "made (UTC)", "payment", "what", "amount", "state", "tries", "why")


@click.group(cls=CommandGroup)
def postings() -> None:
    """What payments owe to the ledger."""


@postings.command(name="list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    help="Only those in this state; may be said more than once.",
)
@click.option("--merchant", "merchant_id", default="", help="Only this merchant's (mer_…).")
@click.option("--payment", "payment_id", default="", help="Only this payment's (pay_…).")
@page_options
@client_options
def list_postings(  # noqa: PLR0917 -- one parameter an option
    states: tuple[str, ...],
    merchant_id: str,
    payment_id: str,
    limit: int,
    page_token: str,
    home: Path | None,
    output: str,
) -> None:
    """List postings, oldest first.

    \b
    payment-cli postings list --state needs_reconciliation
    """
    request = pb.ListPostingsRequest(
        merchant_id=merchant_id,
        payment_id=payment_id,
        states=[PostingState.Value(_STATE_LEAD + each.upper()) for each in states],
        page_size=limit,
        page_token=page_token,
    )

    async def work(channel: Channel) -> pb.ListPostingsResponse:
        return await OrchestratorServiceStub(channel).ListPostings(request)

    page = call(home, work)
    tell_page(page, output, _COLUMNS, [_row(posting) for posting in page.postings])


@postings.command()
@click.argument("posting_ids", nargs=-1, metavar="[POSTING_ID]...")
@click.option(
    "--all", "everything", is_flag=True, help="All that were given up, instead of certain ones."
)
@click.option("--merchant", "merchant_id", default="", help="With --all: only this merchant's.")
@click.option("--payment", "payment_id", default="", help="With --all: only this payment's.")
@click.option("--reason", required=True, help="What has changed since, for whoever asks later.")
@click.option("--operator", help="Who wants it; you, unless said.")
@click.option("--idempotency-key", help="Asking again under the same key does nothing more.")
@client_options
def retry(  # noqa: PLR0917 -- one parameter an option
    posting_ids: tuple[str, ...],
    everything: bool,
    merchant_id: str,
    payment_id: str,
    reason: str,
    operator: str | None,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Bring postings that were given up to the ledger again.

    Each keeps its key, so that one which the ledger has after all is not booked twice. What still
    waits, and what is booked, is left alone.

    \b
    payment-cli postings retry post_0198… --reason "the account is open again"
    payment-cli postings retry --all --reason "the ledger is back"
    """
    if bool(posting_ids) == everything:
        raise click.UsageError("name postings, or say --all")
    if (merchant_id or payment_id) and not everything:
        raise click.UsageError("--merchant and --payment go with --all")
    request = pb.RetryPostingsRequest(
        idempotency_key=idempotency_key or new_key(),
        operator=operator or getpass.getuser(),
        reason=reason,
    )
    if everything:
        request.given_up.CopyFrom(
            pb.PostingsGivenUp(merchant_id=merchant_id, payment_id=payment_id)
        )
    else:
        request.ids.posting_ids.extend(posting_ids)

    async def work(channel: Channel) -> pb.RetryPostingsResponse:
        return await OrchestratorServiceStub(channel).RetryPostings(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
    else:
        click.echo(f"{response.retried_count} postings are brought to the ledger again")
        if response.retried_count == _AT_ONCE_MAX:
            click.echo("there may be more of them: ask again")


def _row(posting: Posting) -> tuple[str, ...]:
    return (
        posting.id,
        moment(posting.created_at),
        posting.payment_id,
        phrase(PostingKind.Name(posting.kind), "POSTING_KIND_"),
        amount_text(posting.amount),
        phrase(PostingState.Name(posting.state), _STATE_LEAD),
        str(posting.try_count),
        posting.last_failure.message,
    )
