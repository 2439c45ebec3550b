"""payment-cli payments: find payments, look at one, take or release what it holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.core.v1.error_code_pb2 import ErrorCode
from payments.core.v1.money_pb2 import Money as MoneyMessage
from payments.core.v1.validation_issue_pb2 import ValidationIssue
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.result.v1.composite_result_pb2 import StepResult, StepState

from cli.amounts import typed_amount
from cli.client import as_json, call, client_options, new_key, print_json
from cli.command_group import CommandGroup
from cli.paging import page_options, tell_page
from cli.tables import amount_text, moment, phrase
from services.kernel.money import Currency

_STATES: Final = tuple(PaymentState.keys()[1:])
_POSTING_STATES: Final = tuple(PostingState.keys()[1:])
_UNDONE: Final = (PaymentState.PAYMENT_STATE_FAILED, PaymentState.PAYMENT_STATE_VOIDED)
_STATE_LEAD: Final = "PAYMENT_STATE_"
_POSTING_LEAD: Final = "POSTING_STATE_"


def _choices(names: tuple[str, ...], lead: str) -> click.Choice[str]:
    return click.Choice([name.removeprefix(lead).lower() for name in names])


@click.group(cls=CommandGroup)
def payments() -> None:
    """What merchants were paid, or wanted to be."""


@payments.command("list")
@click.option("--merchant", "merchant_id", default="", help="Only this merchant's (mer_…).")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=_choices(_STATES, _STATE_LEAD),
    help="Only those in this state; may be said more than once.",
)
@click.option("--user-id", default="", help="Only those of this customer of the merchant's.")
@click.option("--reference", default="", help="Only the one with this hold at a processor.")
@click.option("--in-doubt", is_flag=True, help="Only those of which it is not known what was done.")
@click.option(
    "--posting",
    "postings",
    multiple=True,
    type=_choices(_POSTING_STATES, _POSTING_LEAD),
    help="Only those whose booking stands there; may be said more than once.",
)
@page_options
@client_options
def list_payments(  # noqa: PLR0917 -- one parameter an option
    merchant_id: str,
    states: tuple[str, ...],
    user_id: str,
    reference: str,
    in_doubt: bool,
    postings: tuple[str, ...],
    limit: int,
    page_token: str,
    home: Path | None,
    output: str,
) -> None:
    """List payments, newest first."""
    request = pb.ListPaymentsRequest(
        merchant_id=merchant_id,
        states=[PaymentState.Value(_STATE_LEAD + each.upper()) for each in states],
        user_id=user_id,
        processor_reference=reference,
        in_doubt=True if in_doubt else None,
        posting_states=[PostingState.Value(_POSTING_LEAD + each.upper()) for each in postings],
        page_size=limit,
        page_token=page_token,
    )

    async def work(channel: Channel) -> pb.ListPaymentsResponse:
        return await OrchestratorServiceStub(channel).ListPayments(request)

    page = call(home, work)
    columns = ("id", "state", "amount", "captured", "refunded", "booking", "made (UTC)", "merchant")
    tell_page(page, output, columns, [_row(payment) for payment in page.payments])


@payments.command()
@click.argument("payment_id")
@client_options
def show(payment_id: str, home: Path | None, output: str) -> None:
    """Show a payment as it stands."""

    async def work(channel: Channel) -> Payment:
        return await read_payment(channel, payment_id)

    tell_payment(call(home, work), output)


@payments.command()
@click.argument("payment_id")
@click.option("--amount", help="What to take, such as 12.50; all that is held unless given.")
@click.option("--idempotency-key", help="Asking again under the same key takes nothing more.")
@client_options
@click.pass_context
def capture(  # noqa: PLR0917 -- one parameter an option
    context: click.Context,
    payment_id: str,
    amount: str | None,
    idempotency_key: str | None,
    home: Path | None,
    output: str,
) -> None:
    """Take what a payment holds, or a part of it, and release the rest."""

    async def work(channel: Channel) -> pb.CapturePaymentResponse:
        payment = await read_payment(channel, payment_id)
        request = pb.CapturePaymentRequest(
            idempotency_key=idempotency_key or new_key(),
            merchant_id=payment.merchant_id,
            payment_id=payment_id,
            amount=wanted_amount(amount, payment),
        )
        return await OrchestratorServiceStub(channel).CapturePayment(request)

    taken = call(home, work).payment
    tell_payment(taken, output)
    exit_unless_done(context, taken)


@payments.command()
@click.argument("payment_id")
@click.option("--reason", default="", help="Why, for those who read the payment's story.")
@click.option("--idempotency-key", help="Asking again under the same key changes nothing.")
@client_options
def void(
    payment_id: str, reason: str, idempotency_key: str | None, home: Path | None, output: str
) -> None:
    """Release what a payment holds."""

    async def work(channel: Channel) -> pb.VoidPaymentResponse:
        payment = await read_payment(channel, payment_id)
        request = pb.VoidPaymentRequest(
            idempotency_key=idempotency_key or new_key(),
            merchant_id=payment.merchant_id,
            payment_id=payment_id,
            reason=reason,
        )
        return await OrchestratorServiceStub(channel).VoidPayment(request)

    tell_payment(call(home, work).payment, output)


async def read_payment(channel: Channel, payment_id: str) -> Payment:
    """A payment of any merchant, as an operator sees it."""
    request = pb.GetPaymentRequest(payment_id=payment_id)
    return (await OrchestratorServiceStub(channel).GetPayment(request)).payment


def wanted_amount(text: str | None, payment: Payment) -> MoneyMessage | None:
    """An amount in the payment's currency; None for all there is."""
    if text is None:
        return None
    return typed_amount(text, Currency(payment.amount.currency))


def tell_payment(payment: Payment, output: str) -> None:
    """Show a payment, for people or for programs."""
    if output == "json":
        print_json(as_json(payment))
        return
    for line in payment_lines(payment):
        click.echo(line)


def exit_unless_done(context: click.Context, payment: Payment) -> None:
    """Leave with 1 if nothing was or will be taken; what waits or is in doubt may be yet."""
    if payment.state in _UNDONE:
        context.exit(1)


def payment_lines(payment: Payment) -> Iterator[str]:
    """What a payment has come to and why, in lines for people."""
    state = PaymentState.Name(payment.state).removeprefix(_STATE_LEAD)
    yield f"{payment.id}: {state}, {amount_text(payment.amount)} for {payment.merchant_id}"
    for name in ("authorized", "captured", "refunded", "disputed", "excess"):
        amount = getattr(payment, f"amount_{name}")
        if amount.amount_minor:
            yield f"  {name:<10} {amount_text(amount)}"
    if payment.platform_fee.amount_minor:
        yield f"  {'fee':<10} {amount_text(payment.platform_fee)}"
    for step in payment.result.step_results:
        yield f"  {_step_line(step)}"
    if payment.result.HasField("final_error"):
        error = payment.result.final_error
        yield f"  why: {error.user_message} ({_error(error.code)})"
    if payment.HasField("next_action"):
        yield f"  the customer must visit {payment.next_action.redirect.redirect_url}"
    if payment.in_doubt:
        yield f"  in doubt since {moment(payment.in_doubt_since)} UTC, and looked up until known"
    if payment.needs_reconciliation:
        yield "  needs reconciliation: processor, payment and ledger do not agree"
    if payment.posting_state not in (0, PostingState.POSTING_STATE_NONE):
        yield f"  booking: {phrase(PostingState.Name(payment.posting_state), _POSTING_LEAD)}"
    yield from map(_issue_line, payment.validation_issues)


def _step_line(step: StepResult) -> str:
    state = phrase(StepState.Name(step.state), "STEP_STATE_")
    where = f" at {step.processor_id}" if step.processor_id else ""
    reference = f", as {step.processor_reference}" if step.processor_reference else ""
    why = f" ({_error(step.error_code)})" if step.error_code else ""
    return f"step {step.step_index}: {amount_text(step.amount)} {state}{where}{reference}{why}"


def _issue_line(issue: ValidationIssue) -> str:
    return f'  {issue.field} came as "{issue.raw}", read as "{issue.coerced}" ({issue.rule})'


def _error(code: ErrorCode.ValueType) -> str:
    return ErrorCode.Name(code).removeprefix("ERROR_CODE_").lower()


def _row(payment: Payment) -> tuple[str, ...]:
    doubt = ", in doubt" if payment.in_doubt else ""
    return (
        payment.id,
        phrase(PaymentState.Name(payment.state), _STATE_LEAD) + doubt,
        amount_text(payment.amount),
        amount_text(payment.amount_captured),
        amount_text(payment.amount_refunded),
        phrase(PostingState.Name(payment.posting_state), _POSTING_LEAD),
        moment(payment.created_at),
        payment.merchant_id,
    )
