"""payment-cli config: read, change and compare a merchant's configuration, as YAML."""

import getpass
from pathlib import Path
from typing import Any, Final, TextIO

import click
from google.protobuf.json_format import MessageToDict
from grpc.aio import Channel
from payments.config.v1 import merchant_config_service_pb2 as pb
from payments.config.v1.merchant_config_pb2 import MerchantConfig
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub

from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.config_file import read_document, settings_in, version_in
from cli.settings_yaml import dump, plain_from_message
from cli.tables import moment

_AUTHOR_KEY: Final = "x-author"


@click.group(cls=CommandGroup)
def config() -> None:
    """How a merchant's payments are handled: versions that never change."""


@config.command()
@click.argument("merchant_id")
@click.option("--version", default=0, help="A version; the newest unless given.")
@client_options
def get(merchant_id: str, version: int, home: Path | None, output: str) -> None:
    """Show a configuration, in the form that `put` takes."""
    request = pb.GetConfigRequest(merchant_id=merchant_id, version=version)

    async def work(channel: Channel) -> MerchantConfig:
        return (await MerchantConfigServiceStub(channel).GetConfig(request)).config

    found = call(home, work)
    if output == "json":
        print_json(as_json(found))
        return
    when = moment(found.created_at, to="seconds")
    click.echo(f"# made by {found.author} on {when} UTC")
    if found.comment:
        click.echo(f"# {found.comment}")
    document = {
        "merchant_id": found.merchant_id,
        "version": found.version,
        "settings": plain_from_message(found.settings),
    }
    click.echo(dump(document), nl=False)


@config.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--comment", help="Why, for those who read the list of versions.")
@click.option("--idempotency-key", help="Putting again under the same key changes nothing.")
@client_options
def put(
    file: TextIO,
    comment: str | None,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Make FILE (- for standard input) the newest version.

    The version in the file is the one that was read and changed; a file for a merchant that has no
    configuration yet has none. If somebody else has made a newer one meanwhile, it is refused.
    """
    document = read_document(file)
    request = pb.PutConfigRequest(
        idempotency_key=idempotency_key or new_key(),
        merchant_id=str(document.get("merchant_id", "")),
        expected_version=version_in(document),
        settings=settings_in(document),
        comment=comment if comment is not None else str(document.get("comment", "")),
    )

    async def work(channel: Channel) -> pb.PutConfigResponse:
        author = ((_AUTHOR_KEY, getpass.getuser()),)
        return await MerchantConfigServiceStub(channel).PutConfig(request, metadata=author)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
        return
    made = response.config
    click.echo(f"{made.merchant_id} version {made.version}")
    if response.replayed:
        click.echo("this key had made it before; nothing was written")


@config.command()
@click.argument("merchant_id")
@click.option("--from", "from_version", default=0, help="The newest version unless given.")
@click.option("--to", "to_version", default=0, help="The newest version unless given.")
@click.option("--file", type=click.File(encoding="utf-8"), help="Compare with this file instead.")
@client_options
def diff(  # noqa: PLR0917 -- one parameter an option
    merchant_id: str,
    from_version: int,
    to_version: int,
    file: TextIO | None,
    home: Path | None,
    output: str,
) -> None:
    """Say field by field how a version differs from another, or from a file."""
    request = pb.DiffConfigsRequest(merchant_id=merchant_id, from_version=from_version)
    if file is None:
        request.to_version = to_version
    else:
        request.proposal.CopyFrom(settings_in(read_document(file)))

    async def work(channel: Channel) -> pb.DiffConfigsResponse:
        return await MerchantConfigServiceStub(channel).DiffConfigs(request)

    response = call(home, work)
    if output == "json":
        print_json(as_json(response))
        return
    for change in response.changes:
        told = MessageToDict(change)
        before, after = (_shown(told, side) for side in ("before", "after"))
        click.echo(f"{change.path}: {before} -> {after}")
    if not response.changes:
        click.echo("no difference")


def _shown(told: dict[str, Any], side: str) -> str:
    if side not in told:
        return "(none)"
    value = told[side]
    if isinstance(value, dict | list):
        return dump(value).strip().replace("\n", "; ")
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
