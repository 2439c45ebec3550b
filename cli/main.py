"""payment-cli: the operator's commands. A refusal is one line on standard error, never a traceback.

Exit codes: 0 done, 1 it could not be done, 2 the command or a setting is wrong.
"""

from typing import Any

import click

from cli.migrate import migrate
from services.runtime.startup import StartupError


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StartupError as error:
            for line in str(error).splitlines():
                click.echo(f"payment-cli: {line}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="switchyard", message="%(version)s")
def main() -> None:
    """Switchyard: plan, route, execute and ledger every payment."""


main.add_command(migrate)
