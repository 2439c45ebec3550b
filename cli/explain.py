"""payment-cli explain: the whole story of one payment, in sentences."""

from pathlib import Path

import click
from grpc.aio import Channel
from payments.orchestrator.v1.orchestrator_service_pb2 import ExplainPaymentRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_story_pb2 import PaymentStory

from cli.client import as_json, call, client_options, print_json
from cli.payments import payment_lines
from cli.tables import moment, print_table


@click.command()
@click.argument("payment_id")
@client_options
def explain(payment_id: str, home: Path | None, output: str) -> None:
    """Tell what was asked, what was decided and why, what was done, and what was booked."""

    async def work(channel: Channel) -> PaymentStory:
        request = ExplainPaymentRequest(payment_id=payment_id)
        return (await OrchestratorServiceStub(channel).ExplainPayment(request)).story

    story = call(home, work)
    if output == "json":
        print_json(as_json(story))
        return
    for line in payment_lines(story.payment):
        click.echo(line)
    click.echo()
    rows = [
        (moment(line.occurred_at, to="milliseconds"), line.source, line.message)
        for line in story.timeline
    ]
    print_table(("when (UTC)", "where", "what"), rows)
