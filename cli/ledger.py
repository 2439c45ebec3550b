"""payment-cli ledger: post to the journal, read it, add it up, prove that nobody changed it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.core.v1.money_pb2 import Money
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.integrity_pb2 import (
    IntegrityFinding,
    IntegrityFindingKind,
    IntegrityProgress,
    IntegrityState,
    IntegrityVerdict,
)
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.ledger.v1.transaction_pb2 import EntryDraft, Transaction
from rich.console import Console
from rich.progress import Progress

from cli.amounts import typed_amount
from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.paging import page_options, tell_more
from cli.tables import amount_text, moment
from services.kernel import money
from services.kernel.errors import InvalidArgument, NotFound

NOT_INTACT: Final = 4
_VERIFY_TIMEOUT_SECONDS: Final = 6 * 3600.0

_UNSEALED: Final = IntegrityFindingKind.INTEGRITY_FINDING_KIND_UNSEALED
_STATES: Final = {
    IntegrityState.INTEGRITY_STATE_INTACT: "intact",
    IntegrityState.INTEGRITY_STATE_UNSEALED: "not proven intact",
    IntegrityState.INTEGRITY_STATE_TAMPERED: "tampered with",
}


@click.group(cls=CommandGroup)
def ledger() -> None:
    """The double-entry journal of all money that moves."""


@ledger.command()
@click.argument("reference_id")
@click.argument("entries", nargs=-1, required=True, metavar="ACCOUNT=AMOUNT...")
@click.option("--currency", default="USD", show_default=True, help="An ISO 4217 code.")
@click.option("--idempotency-key", help="Posting again under the same key changes nothing.")
@client_options
def post(  # noqa: PLR0917 -- one parameter an option
    reference_id: str,
    entries: tuple[str, ...],
    currency: str,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Post one balanced transaction.

    \b
    payment-cli ledger post pay_1 CUSTOMER=-10.00 MERCHANT=9.70 PLATFORM=0.30
    """
    request = pb.PostTransactionRequest(
        idempotency_key=idempotency_key or new_key(),
        reference_id=reference_id,
        entries=[_entry(text, money.Currency(currency)) for text in entries],
    )

    async def work(channel: Channel) -> pb.PostTransactionResponse:
        return await LedgerServiceStub(channel).PostTransaction(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
        return
    _show(response.transaction)
    if response.replayed:
        click.echo("this key had posted it before; nothing was written")


@ledger.command()
@click.argument("transaction_id")
@client_options
def show(transaction_id: str, home: Path | None, output: str) -> None:
    """Show one transaction with its entries."""

    async def work(channel: Channel) -> pb.GetTransactionResponse:
        request = pb.GetTransactionRequest(transaction_id=transaction_id)
        return await LedgerServiceStub(channel).GetTransaction(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response.transaction))
    else:
        _show(response.transaction)


@ledger.command()
@click.argument("account")
@click.option("--currency", default="USD", show_default=True, help="An ISO 4217 code.")
@click.option("--as-of", type=click.DateTime(), help="What it held at that moment (UTC).")
@client_options
def balance(
    account: str, currency: str, as_of: datetime | None, home: Path | None, output: str
) -> None:
    """Add an account up."""
    request = pb.GetBalanceRequest(account=account, currency=currency)
    if as_of is not None:
        request.as_of.FromDatetime(as_of)

    async def work(channel: Channel) -> pb.GetBalanceResponse:
        return await LedgerServiceStub(channel).GetBalance(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response.balance))
        return
    held = response.balance
    click.echo(f"{held.account}: {amount_text(held.amount)} in {held.entry_count} entries")


@ledger.command()
@click.argument("account")
@click.option("--currency", default="USD", show_default=True, help="An ISO 4217 code.")
@page_options
@client_options
def statement(  # noqa: PLR0917 -- one parameter an option
    account: str, currency: str, limit: int, page_token: str, home: Path | None, output: str
) -> None:
    """List an account's entries, oldest first, with the balance after each."""
    request = pb.ListEntriesRequest(
        account=account, currency=currency, page_size=limit, page_token=page_token
    )

    async def work(channel: Channel) -> pb.ListEntriesResponse:
        return await LedgerServiceStub(channel).ListEntries(request)

    page = call(home, work)
    if output == "json":
        print_json(as_json(page))
        return
    click.echo(_line("when (UTC)", "transaction", "amount", "balance", "about"))
    click.echo(_line("", "before", "", amount_text(page.opening_balance), ""))
    for line in page.lines:
        when = moment(line.created_at, to="seconds")
        amount, held = amount_text(line.amount), amount_text(line.running_balance)
        click.echo(_line(when, line.transaction_id, amount, held, line.reference_id))
    tell_more(page)


@ledger.command()
@click.option(
    "--from-block",
    type=click.IntRange(1, money.MAX_AMOUNT_MINOR),
    default=1,
    show_default=True,
    help="Begin at this block, chained to the one before it.",
)
@client_options
@click.pass_context
def verify(context: click.Context, from_block: int, home: Path | None, output: str) -> None:
    """Recompute every sealed block.

    Exit code 4 means that somebody changed the past, or that nobody can tell because what should
    be sealed is not.
    """
    request = pb.VerifyIntegrityRequest(from_block_number=from_block)
    with Progress(console=Console(stderr=True), disable=output == "json") as bar:
        task = bar.add_task("verifying", total=None)

        def show(progress: IntegrityProgress) -> None:
            bar.update(
                task,
                # Blocks may be sealed meanwhile; an empty ledger is done at once.
                total=max(progress.blocks_total, progress.blocks_checked) or 1,
                completed=progress.blocks_checked if progress.blocks_total else 1,
            )

        try:
            verdict = call(home, lambda channel: read_verdict(channel, request, show))
        except NotFound as error:
            raise click.BadParameter(error.message, context, param_hint="--from-block") from error
    if output == "json":
        print_json(as_json(verdict))
    else:
        tell_verdict(verdict)
    if verdict.state != IntegrityState.INTEGRITY_STATE_INTACT:
        context.exit(NOT_INTACT)


async def read_verdict(
    channel: Channel,
    request: pb.VerifyIntegrityRequest,
    show: Callable[[IntegrityProgress], None],
) -> IntegrityVerdict:
    """What comes of recomputing the sealed blocks; `show` is told how far that has come."""
    verdict = IntegrityVerdict()
    async for report in LedgerServiceStub(channel).VerifyIntegrity(
        request, timeout=_VERIFY_TIMEOUT_SECONDS
    ):
        verdict = report.verdict
        if report.HasField("progress"):
            show(report.progress)
    return verdict


def _line(when: str, transaction: str, amount: str, held: str, about: str) -> str:
    return f"{when:<19}  {transaction:<36}  {amount:>16}  {held:>16}  {about}".rstrip()


def tell_verdict(verdict: IntegrityVerdict) -> None:
    checked = verdict.checked
    for finding in verdict.findings:
        click.echo(_finding(finding))
    if verdict.findings_unlisted:
        click.echo(f"and {verdict.findings_unlisted} findings more")
    for total in verdict.sums:
        click.echo(f"sum of all entries: {_sum(total)}")
    click.echo(
        f"{_STATES[verdict.state]}: {checked.blocks_checked} blocks,"
        f" {checked.transactions_checked} transactions, {checked.entries_checked} entries;"
        f" {verdict.transactions_unsealed} transactions are not sealed yet"
    )


def _finding(finding: IntegrityFinding) -> str:
    kind = IntegrityFindingKind.Name(finding.kind).removeprefix("INTEGRITY_FINDING_KIND_")
    place = f" block {finding.block_number}" if finding.block_number else ""
    lead = "unproven" if finding.kind == _UNSEALED else "tampering"
    return f"{lead}: {kind}{place} {finding.transaction_id} {finding.message}".replace("  ", " ")


def _sum(total: Money) -> str:
    try:
        return amount_text(total)
    except InvalidArgument:
        # Forged rows may name a currency that there is not.
        return f"{total.amount_minor} minor units of {total.currency}"


def _show(transaction: Transaction) -> None:
    when = moment(transaction.created_at, to="seconds")
    click.echo(f"{transaction.id} about {transaction.reference_id}, {when} UTC")
    for entry in transaction.entries:
        click.echo(f"  {entry.account:<40} {amount_text(entry.amount):>20}")


def _entry(text: str, currency: money.Currency) -> EntryDraft:
    account, equals, amount = text.rpartition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not ACCOUNT=AMOUNT, such as MERCHANT=9.70")
    return EntryDraft(account=account, amount=typed_amount(amount, currency))
