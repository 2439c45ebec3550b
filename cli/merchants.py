"""payment-cli merchants: whose payments the platform handles."""

from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.merchant_pb2 import (
    MERCHANT_STATE_ACTIVE,
    MERCHANT_STATE_SUSPENDED,
    Merchant,
    MerchantState,
)

from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.paging import pages
from cli.tables import moment, print_table, word

_STATES: Final = ("active", "suspended")
_PAGE_SIZE: Final = 100


@click.group(cls=CommandGroup)
def merchants() -> None:
    """Whose payments the platform handles."""


@merchants.command()
@click.argument("name")
@click.option("--contact-email", default="", help="Where its people are told of trouble.")
@click.option("--idempotency-key", help="Calling again under the same key makes nothing.")
@client_options
def create(
    name: str, contact_email: str, idempotency_key: str | None, home: Path | None, output: str
) -> None:
    """Make a merchant called NAME."""
    request = pb.CreateMerchantRequest(
        idempotency_key=idempotency_key or new_key(),
        name=name,
        contact_email=contact_email,
    )

    async def work(channel: Channel) -> pb.CreateMerchantResponse:
        return await AccessServiceStub(channel).CreateMerchant(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
        return
    click.echo(response.merchant.id)
    if response.replayed:
        click.echo("this key had made it before; nothing was written", err=True)


@merchants.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@client_options
def list_merchants(state: str | None, home: Path | None, output: str) -> None:
    """Show the merchants, oldest first."""
    request = pb.ListMerchantsRequest(
        state=MerchantState.Value(f"MERCHANT_STATE_{(state or 'unspecified').upper()}"),
        page_size=_PAGE_SIZE,
    )

    async def work(channel: Channel) -> list[Merchant]:
        listed = pages(AccessServiceStub(channel).ListMerchants, request)
        return [merchant async for page in listed for merchant in page.merchants]

    found = call(home, work)
    if output == "json":
        print_json([as_json(merchant) for merchant in found])
        return
    columns = ("id", "name", "state", "contact", "since")
    print_table(columns, [_row(merchant) for merchant in found])


@merchants.command()
@click.argument("merchant_id")
@client_options
def suspend(merchant_id: str, home: Path | None, output: str) -> None:
    """Let MERCHANT_ID ask for no more payments; what it has can be read and refunded."""
    _put_state(merchant_id, MERCHANT_STATE_SUSPENDED, home, output)


@merchants.command()
@click.argument("merchant_id")
@client_options
def activate(merchant_id: str, home: Path | None, output: str) -> None:
    """Let MERCHANT_ID ask for payments again."""
    _put_state(merchant_id, MERCHANT_STATE_ACTIVE, home, output)


def _put_state(
    merchant_id: str, state: MerchantState.ValueType, home: Path | None, output: str
) -> None:
    async def work(channel: Channel) -> Merchant:
        stub = AccessServiceStub(channel)
        present = await stub.GetMerchant(pb.GetMerchantRequest(merchant_id=merchant_id))
        request = pb.UpdateMerchantRequest(
            idempotency_key=new_key(),
            merchant_id=merchant_id,
            expected_version=present.merchant.version,
            state=state,
        )
        return (await stub.UpdateMerchant(request)).merchant

    changed = call(home, work)
    if output == "json":
        print_json(as_json(changed))
        return
    click.echo(f"{changed.id} is {word(MerchantState.Name(changed.state))}")


def _row(merchant: Merchant) -> tuple[str, ...]:
    return (
        merchant.id,
        merchant.name,
        word(MerchantState.Name(merchant.state)),
        merchant.contact_email,
        moment(merchant.created_at),
    )
