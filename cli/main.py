"""payment-cli: the operator's commands. A refusal is one line on standard error, never a traceback.

Exit codes: 0 done, 1 it could not be done, 2 the command is wrong, or a file or a setting that it
reads, 3 drift: records differ, 4 the ledger was tampered with.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from cli.command_group import CommandGroup
from services.kernel.errors import SwitchyardError
from services.runtime.startup import StartupError

# Each command by its module, read when it is called: none waits for what another one needs.
_COMMANDS: Final[Mapping[str, str]] = {
    "config": "cli.config",
    "demo": "cli.demo",
    "dlq": "cli.dlq",
    "doctor": "cli.doctor",
    "env": "cli.env",
    "explain": "cli.explain",
    "idempotency": "cli.idempotency",
    "keys": "cli.keys",
    "ledger": "cli.ledger",
    "merchants": "cli.merchants",
    "migrate": "cli.migrate",
    "pay": "cli.pay",
    "payments": "cli.payments",
    "plan": "cli.plan",
    "postings": "cli.postings",
    "process-refund": "cli.refund",
    "resolve": "cli.resolve",
    "serve": "cli.serve",
    "up": "cli.up",
    "webhook-gaps": "cli.webhooks",
    "webhook-replay": "cli.webhooks",
    "webhook-status": "cli.webhooks",
}

_GRPC_REACHED_NOBODY: Final = "failed to connect to all addresses"
_NOBODY_ANSWERS: Final = (
    "nobody answers where run.json says that something runs: it was killed, or is on its way;"
    " start it with payment-cli up"
)


class _Commands(CommandGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's word
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 -- click's word
        cmd_name: str,
    ) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(module), cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StartupError as error:
            _complain(str(error))
            ctx.exit(error.exit_code)
        except SwitchyardError as error:
            _complain(_NOBODY_ANSWERS if _GRPC_REACHED_NOBODY in error.message else error.message)
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
