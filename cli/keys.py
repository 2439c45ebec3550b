"""payment-cli keys: who may call, with which key, and what for.

A new key is written to standard output, once; nothing can show it again.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import Channel
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import (
    ROLE_ADMIN,
    ROLE_MERCHANT,
    ApiKey,
    ApiKeyState,
    Role,
)

from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.paging import pages
from cli.tables import moment, print_table, word

_KEY_STATES: Final = ("active", "rotated", "expired", "revoked")
_PAGE_SIZE: Final = 100
_LONGEST_OVERLAP_HOURS: Final = 30 * 24

_merchant_option = click.option("--merchant", default="", help="The merchant whose it must be.")
_idempotency_option = click.option(
    "--idempotency-key", help="Calling again under the same key makes nothing, and shows no secret."
)


@click.group(cls=CommandGroup)
def keys() -> None:
    """API keys: each is shown once, and known by its id and its ends from then on."""


@keys.command()
@click.option("--merchant", default="", help="The merchant that the key speaks for.")
@click.option("--admin", is_flag=True, help="An operator's key, which belongs to no merchant.")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="What it allows; all unless given.")
@click.option("--expires-in-days", type=click.IntRange(1, 36_500), help="Else never.")
@_idempotency_option
@client_options
def create(  # noqa: PLR0917 -- one parameter an option
    merchant: str,
    admin: bool,
    name: str,
    scopes: tuple[str, ...],
    expires_in_days: int | None,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Make a key, and show it."""
    if admin == bool(merchant):
        raise click.UsageError("say whose the key is: --merchant mer_..., or --admin")
    request = pb.CreateApiKeyRequest(
        idempotency_key=idempotency_key or new_key(),
        merchant_id=merchant,
        name=name,
        role=ROLE_ADMIN if admin else ROLE_MERCHANT,
        scopes=scopes,
        expires_at=_in_days(expires_in_days),
    )

    async def work(channel: Channel) -> pb.CreateApiKeyResponse:
        return await AccessServiceStub(channel).CreateApiKey(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
        return
    _show_secret(response.api_key, response.secret_value)


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, _LONGEST_OVERLAP_HOURS),
    default=24,
    show_default=True,
    help="How long the replaced key is still taken.",
)
@_merchant_option
@_idempotency_option
@client_options
def rotate(  # noqa: PLR0917 -- one parameter an option
    key_id: str,
    overlap_hours: int,
    merchant: str,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Put a new key in the place of KEY_ID, and show it.

    Both are taken during the overlap, so that nobody who calls has to stop.
    """
    request = pb.RotateApiKeyRequest(
        idempotency_key=idempotency_key or new_key(), merchant_id=merchant, api_key_id=key_id
    )
    request.overlap.FromTimedelta(timedelta(hours=overlap_hours))

    async def work(channel: Channel) -> pb.RotateApiKeyResponse:
        return await AccessServiceStub(channel).RotateApiKey(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
        return
    _show_secret(response.api_key, response.secret_value)
    end = moment(response.replaced.expires_at)
    click.echo(f"{response.replaced.id} is taken until {end} UTC", err=True)


@keys.command()
@click.argument("key_id")
@_merchant_option
@client_options
def revoke(key_id: str, merchant: str, home: Path | None, output: str) -> None:
    """Withdraw KEY_ID; within a second nobody takes it."""
    request = pb.RevokeApiKeyRequest(
        idempotency_key=new_key(), merchant_id=merchant, api_key_id=key_id
    )

    async def work(channel: Channel) -> pb.RevokeApiKeyResponse:
        return await AccessServiceStub(channel).RevokeApiKey(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response.api_key))
        return
    click.echo(f"{response.api_key.id} was revoked on {moment(response.api_key.revoked_at)} UTC")


@keys.command("list")
@_merchant_option
@click.option("--state", type=click.Choice(_KEY_STATES), help="Only keys in this state.")
@client_options
def list_keys(merchant: str, state: str | None, home: Path | None, output: str) -> None:
    """Show what is known of the keys, newest first."""
    request = pb.ListApiKeysRequest(
        merchant_id=merchant,
        state=ApiKeyState.Value(f"API_KEY_STATE_{(state or 'unspecified').upper()}"),
        page_size=_PAGE_SIZE,
    )

    async def work(channel: Channel) -> list[ApiKey]:
        listed = pages(AccessServiceStub(channel).ListApiKeys, request)
        return [key async for page in listed for key in page.api_keys]

    found = call(home, work)
    if output == "json":
        print_json([as_json(key) for key in found])
        return
    columns = ("id", "key", "name", "state", "whose", "scopes", "expires", "last used")
    print_table(columns, [_row(key) for key in found])


def _row(key: ApiKey) -> tuple[str, ...]:
    return (
        key.id,
        key.hint,
        key.name,
        word(ApiKeyState.Name(key.state)),
        key.merchant_id or word(Role.Name(key.role)),
        " ".join(key.scopes),
        moment(key.expires_at) if key.HasField("expires_at") else "never",
        moment(key.last_used_at) if key.HasField("last_used_at") else "never",
    )


def _show_secret(key: ApiKey, secret: str) -> None:
    """The secret alone goes to standard output, so that a program can take it from there."""
    if not secret:
        raise click.ClickException(
            f"this idempotency key has made {key.id} before, and its secret is not kept:"
            f" payment-cli keys rotate {key.id} --overlap-hours 0 shows a new one"
        )
    click.echo(f"{key.id}, shown this once:", err=True)
    click.echo(secret)


def _in_days(days: int | None) -> Timestamp | None:
    if days is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return timestamp
