"""payment-cli: the operator's commands. A refusal is one line on standard error, never a traceback.

Exit codes: 0 done, 1 it could not be done, 2 the command or a setting is wrong.
"""

from typing import Any

import click

from cli.config import config
from cli.demo import demo
from cli.dlq import dlq
from cli.explain import explain
from cli.idempotency import idempotency
from cli.keys import keys
from cli.ledger import ledger
from cli.merchants import merchants
from cli.migrate import migrate
from cli.pay import pay
from cli.payments import payments
from cli.refund import process_refund
from cli.resolve import resolve
from cli.serve import serve
from cli.up import up
from cli.webhooks import webhook_gaps, webhook_replay, webhook_status
from services.kernel.errors import SwitchyardError
from services.runtime.startup import StartupError


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StartupError as error:
            _complain(str(error))
            ctx.exit(error.exit_code)
        except SwitchyardError as error:
            _complain(error.message)
            for violation in error.violations:
                if violation.message in error.message:
                    continue
                _complain(f"{violation.field}: {violation.message} ({violation.rule})")
            ctx.exit(1)


def _complain(text: str) -> None:
    for line in text.splitlines():
        click.echo(f"payment-cli: {line}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="switchyard", message="%(version)s")
def main() -> None:
    """Switchyard: plan, route, execute and ledger every payment."""


for command in (
    config,
    demo,
    dlq,
    explain,
    idempotency,
    keys,
    ledger,
    merchants,
    migrate,
    pay,
    payments,
    process_refund,
    resolve,
    serve,
    up,
    webhook_gaps,
    webhook_replay,
    webhook_status,
):
    main.add_command(command)
