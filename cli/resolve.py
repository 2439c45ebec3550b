"""payment-cli resolve: settle by evidence what no processor will tell."""

import getpass
from pathlib import Path

import click
from grpc.aio import Channel
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_story_pb2 import ResolutionEvidence
from payments.result.v1.result_pb2 import Outcome

from cli.client import call, client_options, new_key
from cli.payments import read_payment, tell_payment


@click.command()
@click.argument("payment_id")
@click.option("--attempt", "attempt_id", default="", help="Which attempt, if several are in doubt.")
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed"]),
    required=True,
    help="What the processor did.",
)
@click.option("--reference", default="", help="The processor's own id of what it did.")
@click.option("--source", required=True, help="Where that was seen, for whoever asks later.")
@click.option("--operator", help="Who found it out; you, unless said.")
@click.option("--idempotency-key", help="Asking again under the same key changes nothing.")
@client_options
def resolve(  # noqa: PLR0917 -- one parameter an option
    payment_id: str,
    attempt_id: str,
    outcome: str,
    reference: str,
    source: str,
    operator: str | None,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Say what became of an attempt in doubt, with the evidence for it.

    \b
    payment-cli resolve pay_0198… --outcome succeeded --reference pi_3… \\
        --source "Stripe dashboard, 2030-01-05"
    """
    evidence = ResolutionEvidence(
        outcome=Outcome.Value(f"OUTCOME_{outcome.upper()}"),
        processor_reference=reference,
        source=source,
        operator=operator or getpass.getuser(),
    )

    async def work(channel: Channel) -> pb.ResolvePaymentResponse:
        payment = await read_payment(channel, payment_id)
        request = pb.ResolvePaymentRequest(
            idempotency_key=idempotency_key or new_key(),
            merchant_id=payment.merchant_id,
            payment_id=payment_id,
            attempt_id=attempt_id,
            evidence=evidence,
        )
        return await OrchestratorServiceStub(channel).ResolvePayment(request)

    tell_payment(call(home, work).payment, output)
