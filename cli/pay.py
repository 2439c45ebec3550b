"""payment-cli pay: one payment from beginning to end, and why it went as it did."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from grpc.aio import Channel
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.money_pb2 import Money as MoneyMessage
from payments.core.v1.payment_method_pb2 import CardNetwork, PaymentInstrument, PaymentMethod
from payments.core.v1.payment_terms_pb2 import CaptureMethod
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.plan.v1.payment_plan_pb2 import CANDIDATE_VERDICT_KEPT, PaymentPlan
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from cli.client import as_json, call, client_options, print_json
from cli.payments import exit_unless_done, new_key, payment_lines
from cli.tables import amount_text
from services.kernel.errors import DeadlineExceeded, Unavailable
from services.kernel.ids import RequestId
from services.kernel.money import Currency, Money

_METHODS: Final = ("card", "apple_pay")
_NETWORKS: Final = tuple(
    name.removeprefix("CARD_NETWORK_").lower() for name in CardNetwork.keys()[1:]
)


@click.command()
@click.argument("amount")
@click.option("--merchant", "merchant_id", required=True, help="Whose payment it is (mer_…).")
@click.option("--currency", default="USD", show_default=True, help="An ISO 4217 code.")
@click.option("--method", type=click.Choice(_METHODS), default="card", show_default=True)
@click.option(
    "--token",
    default="pm_card_visa",
    show_default=True,
    help="The processor's token of what the customer pays with; never a card number.",
)
@click.option("--network", type=click.Choice(_NETWORKS), help="The card's scheme, for routing.")
@click.option(
    "--capture",
    type=click.Choice(["automatic", "manual"]),
    help="When it is taken; as the merchant's configuration says unless given.",
)
@click.option("--user-id", default="", help="The merchant's own id of its customer.")
@click.option("--country", default="", help="The customer's country, for routing, such as DE.")
@click.option("--return-url", default="", help="Where an authentication sends the customer back.")
@click.option("--metadata", "pairs", multiple=True, metavar="NAME=VALUE", help="Kept with it.")
@click.option(
    "--idempotency-key", help="Paying again under the same key gives the same answer, once paid."
)
@click.option("--no-wait", is_flag=True, help="Return as soon as the intention is committed.")
@client_options
@click.pass_context
def pay(  # noqa: PLR0917 -- one parameter an option
    context: click.Context,
    amount: str,
    merchant_id: str,
    currency: str,
    method: str,
    token: str,
    network: str | None,
    capture: str | None,
    user_id: str,
    country: str,
    return_url: str,
    pairs: tuple[str, ...],
    idempotency_key: str | None,
    no_wait: bool,
    home: Path | None,
    output: str,
) -> None:
    """Take AMOUNT, such as 12.50: plan it, carry the plan out, and say what came of it.

    \b
    payment-cli pay 12.50 --merchant mer_0198…
    payment-cli pay 1000 --currency JPY --merchant mer_0198… --capture manual

    Exit code 1 means that nothing was held or taken. A payment that waits for its customer, or is
    in doubt, is none of that yet: it says so, and leaves with 0.
    """
    asked = Money.parse(amount, Currency(currency))
    wish = CoreRequestContext(
        request_id=RequestId.new(),
        merchant_id=merchant_id,
        idempotency_key=idempotency_key or new_key(),
        idempotency_key_generated=idempotency_key is None,
        amount=MoneyMessage(amount_minor=asked.amount_minor, currency=asked.currency.code),
        instrument=PaymentInstrument(
            method=PaymentMethod.Value(f"PAYMENT_METHOD_{method.upper()}"),
            token=token,
            network=CardNetwork.Value(f"CARD_NETWORK_{(network or 'unspecified').upper()}"),
        ),
        capture_method=CaptureMethod.Value(f"CAPTURE_METHOD_{(capture or 'unspecified').upper()}"),
        user_id=user_id,
        country=country,
        return_url=return_url,
        metadata=dict(map(_pair, pairs)),
    )
    wish.received_at.FromDatetime(datetime.now(UTC))
    mode = pb.RESPONSE_MODE_ASYNC if no_wait else pb.RESPONSE_MODE_WAIT
    plan, response = _pay(home, wish, mode)
    _tell(plan, response, output)
    exit_unless_done(context, response.payment)


def _pay(
    home: Path | None, wish: CoreRequestContext, mode: pb.ResponseMode.ValueType
) -> tuple[PaymentPlan, pb.ExecutePlanResponse]:
    async def work(channel: Channel) -> tuple[PaymentPlan, pb.ExecutePlanResponse]:
        planning = BuildPlanRequest(context=wish)
        plan = (await PlanBuilderServiceStub(channel).BuildPlan(planning)).plan
        order = pb.ExecutePlanRequest(
            idempotency_key=wish.idempotency_key, context=wish, plan=plan, response_mode=mode
        )
        return plan, await OrchestratorServiceStub(channel).ExecutePlan(order)

    try:
        return call(home, work)
    except (DeadlineExceeded, Unavailable):
        click.echo(
            "payment-cli: it may have been paid all the same; what became of it tells\n"
            f"payment-cli idempotency {wish.idempotency_key} --merchant {wish.merchant_id}",
            err=True,
        )
        raise


def _tell(plan: PaymentPlan, response: pb.ExecutePlanResponse, output: str) -> None:
    if output == "json":
        print_json(as_json(response))
        return
    for line in payment_lines(response.payment):
        click.echo(line)
    if response.replayed:
        click.echo("  this key had paid it before; nothing was done")
        return
    for step in plan.steps:
        click.echo(f"  planned for step {step.index}, {amount_text(step.amount)}:")
        for decision in step.decisions:
            verdict = "kept" if decision.verdict == CANDIDATE_VERDICT_KEPT else "left out"
            click.echo(
                f"    {decision.processor_id} {verdict}: {decision.message} ({decision.rule})"
            )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--metadata")
    return name, value
