"""payment-cli process-refund: return what was taken, once somebody has looked at it."""

from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.orchestrator.v1.refund_pb2 import RefundState

from cli.client import as_json, call, client_options, new_key, print_json
from cli.payments import payment_lines, read_payment, wanted_amount
from cli.tables import amount_text, phrase
from services.kernel.money import Currency, Money

_FAILED: Final = RefundState.REFUND_STATE_FAILED


@click.command("process-refund")
@click.argument("payment_id")
@click.option("--amount", help="What to return, such as 12.50; all that is left unless given.")
@click.option("--reason", default="", help="Why, as the merchant says.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--idempotency-key", help="Asking again under the same key returns nothing more.")
@client_options
@click.pass_context
def process_refund(  # noqa: PLR0917 -- one parameter an option
    context: click.Context,
    payment_id: str,
    amount: str | None,
    reason: str,
    yes: bool,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Return what a payment has taken, or a part of it.

    It shows the payment and asks first. Exit code 1 means that nothing, or not all, was returned.
    """

    async def look(channel: Channel) -> Payment:
        return await read_payment(channel, payment_id)

    payment = call(home, look)
    request = pb.RefundPaymentRequest(
        idempotency_key=idempotency_key or new_key(),
        merchant_id=payment.merchant_id,
        payment_id=payment_id,
        amount=wanted_amount(amount, payment),
        reason=reason,
    )
    if not yes:
        _ask(payment, request)
        # What was agreed to is the payment as it was shown.
        request.expected_version = payment.version

    async def work(channel: Channel) -> pb.RefundPaymentResponse:
        return await OrchestratorServiceStub(channel).RefundPayment(request)

    response = call(home, work)
    _tell(response, output)
    if response.refund.state == _FAILED:
        context.exit(1)


def _ask(payment: Payment, request: pb.RefundPaymentRequest) -> None:
    for line in payment_lines(payment):
        click.echo(line, err=True)
    wanted = (
        amount_text(request.amount)
        if request.HasField("amount")
        else f"all that is left, {_left(payment)} at most,"
    )
    click.confirm(f"Return {wanted} to the customer?", abort=True, err=True)


def _left(payment: Payment) -> Money:
    taken, returned = payment.amount_captured, payment.amount_refunded
    return Money(taken.amount_minor - returned.amount_minor, Currency(taken.currency))


def _tell(response: pb.RefundPaymentResponse, output: str) -> None:
    if output == "json":
        print_json(as_json(response))
        return
    refund = response.refund
    state = phrase(RefundState.Name(refund.state), "REFUND_STATE_")
    fee = amount_text(refund.platform_fee_returned)
    click.echo(f"{refund.id}: {amount_text(refund.amount)} {state}, {fee} of the fee with it")
    for line in payment_lines(response.payment):
        click.echo(line)
    if response.replayed:
        click.echo("this key had asked for it before; nothing was done")
