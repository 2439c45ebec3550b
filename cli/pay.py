"""payment-cli pay: one payment from beginning to end, and why it went as it did."""

from pathlib import Path

import click
from grpc.aio import Channel
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.plan.v1.payment_plan_pb2 import PaymentPlan
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from cli.client import as_json, call, client_options, print_json
from cli.payments import exit_unless_done, payment_lines
from cli.planning import Wish, plan_lines, wish_options
from services.kernel.errors import DeadlineExceeded, Unavailable


@click.command()
@click.argument("amount")
@click.option("--merchant", "merchant_id", required=True, help="Whose payment it is (mer_…).")
@wish_options
@click.option("--user-id", default="", help="The merchant's own id of its customer.")
@click.option("--return-url", default="", help="Where an authentication sends the customer back.")
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
    wish: Wish,
    user_id: str,
    return_url: str,
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
    request = wish.request(amount, merchant_id, idempotency_key)
    request.user_id, request.return_url = user_id, return_url
    mode = pb.RESPONSE_MODE_ASYNC if no_wait else pb.RESPONSE_MODE_WAIT
    plan, response = _pay(home, request, mode)
    _tell(plan, response, output)
    exit_unless_done(context, response.payment)


def _pay(
    home: Path | None, request: CoreRequestContext, mode: pb.ResponseMode.ValueType
) -> tuple[PaymentPlan, pb.ExecutePlanResponse]:
    async def work(channel: Channel) -> tuple[PaymentPlan, pb.ExecutePlanResponse]:
        planning = BuildPlanRequest(context=request)
        plan = (await PlanBuilderServiceStub(channel).BuildPlan(planning)).plan
        order = pb.ExecutePlanRequest(
            idempotency_key=request.idempotency_key, context=request, plan=plan, response_mode=mode
        )
        return plan, await OrchestratorServiceStub(channel).ExecutePlan(order)

    try:
        return call(home, work)
    except (DeadlineExceeded, Unavailable):
        click.echo(
            "payment-cli: it may have been paid all the same; what became of it tells\n"
            f"payment-cli idempotency {request.idempotency_key} --merchant {request.merchant_id}",
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
    for line in plan_lines(plan):
        click.echo(line)
