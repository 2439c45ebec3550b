"""payment-cli plan: what would be done for a payment, or what another config would change."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import click
from click.core import ParameterSource
from grpc.aio import Channel
from payments.plan.v1 import plan_builder_service_pb2 as pb
from payments.plan.v1.payment_plan_pb2 import PaymentPlan
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub
from rich.console import Console
from rich.progress import Progress

from cli.client import as_json, call, client_options, print_json
from cli.config_file import read_document, settings_in, version_in
from cli.planning import WISH_NAMES, Wish, plan_lines, wish_options
from cli.replay import Findings, findings_json, tell_findings
from cli.tables import amount_text
from services.kernel.money import MAX_AMOUNT_MINOR

_LAST_COUNT_MAX: Final = 100_000
_REPLAY_TIMEOUT_SECONDS: Final = 3_600.0


@dataclass(frozen=True)
class _Window:
    """Which recorded requests are replayed."""

    last_count: int
    since: datetime | None = None


def _window(
    context: click.Context,
    parameter: click.Parameter,
    text: str | None,
) -> _Window | None:
    if text is None:
        return None
    window = _window_of(text)
    if window is None:
        raise click.BadParameter(
            f"{text!r} is neither last:N, the newest N requests, 1 to {_LAST_COUNT_MAX}; nor"
            " since:MOMENT, those received since, such as since:2026-11-20 or"
            " since:2026-11-20T08:00, in UTC",
            context,
            parameter,
        )
    return window


def _window_of(text: str) -> _Window | None:
    kind, _, rest = text.partition(":")
    if kind == "last" and re.fullmatch("[0-9]{1,6}", rest) and 1 <= int(rest) <= _LAST_COUNT_MAX:
        return _Window(int(rest))
    if kind != "since":
        return None
    try:
        moment = datetime.fromisoformat(rest)
    except ValueError:
        return None
    return _Window(_LAST_COUNT_MAX, moment.replace(tzinfo=moment.tzinfo or UTC))


@click.command()
@click.argument("amount", required=False)
@click.option("--merchant", "merchant_id", help="Whose (mer_…); with --config the file says it.")
@click.option(
    "--version",
    type=click.IntRange(0, MAX_AMOUNT_MINOR),
    default=0,
    help="A stored version of the configuration; the newest unless given.",
)
@click.option("--idempotency-key", help="Weights go by it: the same key is planned alike.")
@click.option(
    "--against",
    callback=_window,
    metavar="last:N|since:MOMENT",
    help="Replay these recorded requests instead.",
)
@click.option(
    "--config",
    "file",
    type=click.File(encoding="utf-8"),
    help="Replay them through this file (- for standard input), which is not stored.",
)
@click.option(
    "--show",
    "show_count",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    help="How many of the requests to name, of each kind of difference.",
)
@wish_options
@client_options
@click.pass_context
def plan(  # noqa: PLR0917 -- one parameter an option
    context: click.Context,
    amount: str | None,
    merchant_id: str | None,
    version: int,
    idempotency_key: str | None,
    against: _Window | None,
    file: TextIO | None,
    show_count: int,
    wish: Wish,
    home: Path | None,
    output: str,
) -> None:
    """Say what would be done for a payment of AMOUNT and why, without doing it.

    Or what another configuration would have made of recorded requests. Neither changes anything.

    \b
    payment-cli plan 12.50 --merchant mer_0198… --network american_express
    payment-cli plan --config new.yaml --against last:1000
    payment-cli plan --merchant mer_0198… --version 3 --against since:2026-11-20
    """
    if against is not None:
        _refuse_together(context, "--against", ("amount", "idempotency_key", *WISH_NAMES))
        order = _order(context, merchant_id, version, file)
        order.last_count = against.last_count
        if against.since is not None:
            order.received_from.FromDatetime(against.since)
        _replay(home, order, show_count, output)
        return
    if file is not None:
        raise click.UsageError("--config tells what it would change --against recorded requests")
    if amount is None or merchant_id is None:
        raise click.UsageError("give an AMOUNT and its --merchant, or requests to plan --against")
    request = wish.request(amount, merchant_id, idempotency_key)
    _plan(home, pb.BuildPlanRequest(context=request, config_version=version), output)


def _plan(home: Path | None, request: pb.BuildPlanRequest, output: str) -> None:
    async def work(channel: Channel) -> PaymentPlan:
        return (await PlanBuilderServiceStub(channel).BuildPlan(request)).plan

    made = call(home, work)
    if output == "json":
        print_json(as_json(made))
        return
    click.echo(
        f"{amount_text(made.total)} for {made.merchant_id}, by version {made.config_version}"
    )
    for line in plan_lines(made):
        click.echo(line)
    click.echo(f"  fee        {amount_text(made.platform_fee)}")


def _order(
    context: click.Context, merchant_id: str | None, version: int, file: TextIO | None
) -> pb.ReplayPlansRequest:
    """Whose requests, and what to send them through."""
    if file is None:
        if merchant_id is None:
            raise click.UsageError("say whose requests with --merchant, or give a file --config")
        return pb.ReplayPlansRequest(merchant_id=merchant_id, config_version=version)
    _refuse_together(context, "--config", ("version",))
    document = read_document(file)
    version_in(document)
    owner = str(document.get("merchant_id", merchant_id or ""))
    if merchant_id not in (None, owner):
        raise click.UsageError(f"{file.name} is of {owner}, not of --merchant {merchant_id}")
    return pb.ReplayPlansRequest(merchant_id=owner, proposal=settings_in(document))


def _replay(home: Path | None, order: pb.ReplayPlansRequest, show_count: int, output: str) -> None:
    with Progress(console=Console(stderr=True), disable=output == "json") as bar:
        task = bar.add_task("replaying", total=None)

        async def work(channel: Channel) -> Findings:
            findings = Findings(show_count)
            stub = PlanBuilderServiceStub(channel)
            async for told in stub.ReplayPlans(order, timeout=_REPLAY_TIMEOUT_SECONDS):
                findings.hear(told)
                if told.HasField("progress"):
                    bar.update(
                        task,
                        # Nothing recorded is replayed at once.
                        total=told.progress.requests_total or 1,
                        completed=told.progress.requests_replayed
                        if told.progress.requests_total
                        else 1,
                    )
            return findings

        findings = call(home, work)
    if output == "json":
        print_json(findings_json(findings))
        return
    tell_findings(findings, order.merchant_id)


def _refuse_together(context: click.Context, option: str, names: tuple[str, ...]) -> None:
    """Refuse what would say nothing beside this option, rather than pass over it."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is ParameterSource.COMMANDLINE:
            label = parameter.opts[0].upper() if parameter.name == "amount" else parameter.opts[0]
            raise click.UsageError(f"{label} and {option} are not for the same call")
