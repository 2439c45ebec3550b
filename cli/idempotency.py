"""payment-cli idempotency: what became of a key, and whether a retry is safe."""

from pathlib import Path

import click
from grpc.aio import Channel
from payments.orchestrator.v1.idempotency_pb2 import IdempotencyRecord, IdempotencyState
from payments.orchestrator.v1.orchestrator_service_pb2 import GetIdempotencyRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

from cli.client import as_json, call, client_options, print_json
from cli.tables import moment, phrase


@click.command()
@click.argument("key")
@click.option("--merchant", "merchant_id", required=True, help="Whose key it is (mer_…).")
@click.option("--fingerprint", default="", help="The SHA-256 of the request you would send.")
@client_options
@click.pass_context
def idempotency(  # noqa: PLR0917 -- one parameter an option
    context: click.Context,
    key: str,
    merchant_id: str,
    fingerprint: str,
    home: Path | None,
    output: str,
) -> None:
    """Say what became of the call that used KEY. Exit code 1: the key stands for another one."""
    request = GetIdempotencyRequest(
        merchant_id=merchant_id, idempotency_key=key, fingerprint=fingerprint
    )

    async def work(channel: Channel) -> IdempotencyRecord:
        return (await OrchestratorServiceStub(channel).GetIdempotency(request)).record

    record = call(home, work)
    if output == "json":
        print_json(as_json(record))
    else:
        _tell(record)
    if not record.retry_safe:
        context.exit(1)


def _tell(record: IdempotencyRecord) -> None:
    state = phrase(IdempotencyState.Name(record.state), "IDEMPOTENCY_STATE_")
    safe = "is safe" if record.retry_safe else "is refused"
    click.echo(f"{record.idempotency_key}: {state}; sending the same request again {safe}")
    if record.operation:
        click.echo(f"  {record.operation} about {record.payment_id}, by {record.request_id}")
        click.echo(f"  first used {moment(record.first_used_at)} UTC")
    if record.HasField("answered_at"):
        click.echo(f"  answered {moment(record.answered_at)} UTC")
