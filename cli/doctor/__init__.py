"""payment-cli doctor: is what the platform believes true? Asks the oracle of a system at work.

Exit codes: 0 all is as it must be, 3 something is not, 4 the ledger was tampered with, 1 it could
not be found out.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import click
from payments.ledger.v1.integrity_pb2 import IntegrityProgress, IntegrityVerdict
from payments.ledger.v1.ledger_service_pb2 import VerifyIntegrityRequest

from cli.client import call, client_options, print_json
from cli.doctor.findings import Findings
from cli.doctor.telling import as_tree, tell
from cli.ledger import read_verdict
from oracle import Bounds, Terms, examine, read_whole_sandbox
from services.kernel.errors import SwitchyardError
from services.runtime.run_file import NotRunning, RunFile
from services.runtime.settings import load_settings

# By then the ledger has been tried for the last time, and a driver that died was replaced.
_PATIENCE_SECONDS: Final = 600
_STATEMENT_SECONDS: Final = 60
# What payment-cli up sends to its sandbox.
_IN_SANDBOX: Final = ("stripe", "apple_pay")
_UNCOMPARED: Final = (
    "the processors' own record: only a sandbox's is read, and --sandbox names none"
)


@dataclass(frozen=True)
class _Patient:
    """Where the system to be examined is."""

    database_url: str
    setting: str
    """Where that was read, for whoever has to correct it."""
    sandbox_url: str | None
    runs: bool
    """Whether a running system is asked as well."""


@click.command()
@click.option(
    "--database",
    metavar="URL",
    help="Ask this database, and not the running system unless --home names that too.",
)
@click.option("--sandbox", metavar="URL", help="Compare with the record of this sandbox.")
@click.option(
    "--sandbox-processor",
    "processors",
    multiple=True,
    default=_IN_SANDBOX,
    show_default=True,
    help="A processor whose payments go to the sandbox; may be said more than once.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="Only payments that were made from this moment on, in UTC; all unless said.",
)
@click.option(
    "--patience-seconds",
    type=click.IntRange(1),
    default=_PATIENCE_SECONDS,
    show_default=True,
    help="What is under way for longer counts as left lying.",
)
@click.option(
    "--statement-timeout-seconds",
    type=click.IntRange(1),
    default=_STATEMENT_SECONDS,
    show_default=True,
    help="How long the database may take for one question.",
)
@client_options
@click.pass_context
def doctor(  # noqa: PLR0917 -- one parameter an option
    context: click.Context,
    database: str | None,
    sandbox: str | None,
    processors: tuple[str, ...],
    since: datetime | None,
    patience_seconds: int,
    statement_timeout_seconds: int,
    home: Path | None,
    output: str,
) -> None:
    """Ask whether payments, ledger, events and processors say the same, and what stands open.

    Reads everything as of one moment and writes nothing, so it may be asked of a system at work;
    what seems wrong is looked at twice. Exit codes: 0 fine, 3 something is not as it must be,
    4 the ledger was tampered with, 1 it could not be found out.
    """
    patient = _find(database, sandbox, home)
    terms = Terms(
        Bounds(work=timedelta(seconds=patience_seconds)),
        statement_timeout=timedelta(seconds=statement_timeout_seconds),
        since=since and since.replace(tzinfo=UTC),
    )
    findings = _examined(patient, terms, processors, home)
    if output == "json":
        print_json(as_tree(findings))
    else:
        tell(findings)
    context.exit(findings.state.exit_code)


def _find(database: str | None, sandbox: str | None, home: Path | None) -> _Patient:
    settings = load_settings(switchyard_home=home, database_url=database)
    secret = settings.database_url
    own = _Patient(
        "" if secret is None else secret.get_secret_value(),
        "DATABASE_URL" if database is None else "--database",
        sandbox,
        runs=False,
    )
    if database is not None and home is None:
        return own
    try:
        run = RunFile.read(settings.switchyard_home)
    except NotRunning:
        if secret is None:
            raise
        return own
    sandbox_url = sandbox or run.sandbox_url
    if database is not None:
        return replace(own, sandbox_url=sandbox_url, runs=True)
    setting = str(settings.switchyard_home / "run.json")
    return _Patient(run.database_url, setting, sandbox_url, runs=True)


def _examined(
    patient: _Patient, terms: Terms, processors: tuple[str, ...], home: Path | None
) -> Findings:
    url = patient.sandbox_url
    read_record = None if url is None else partial(read_whole_sandbox, url, processors)
    examination = asyncio.run(
        examine(patient.database_url, terms, setting=patient.setting, read_record=read_record)
    )
    problems = [examination.problem] if examination.problem else []
    left_out = [] if url is not None else [_UNCOMPARED]
    if terms.since is not None:
        left_out.append(f"payments made before {terms.since:%Y-%m-%d %H:%M:%S} UTC")
    verdict = None
    if not patient.runs:
        left_out.append("verifying the ledger's seals: no running system was asked")
    else:
        try:
            verdict = _verified(home)
        except SwitchyardError as error:
            problems.append(f"the ledger's seals: {error.message}")
    return Findings(examination, verdict, tuple(problems), tuple(left_out))


def _verified(home: Path | None) -> IntegrityVerdict:
    def show(_: IntegrityProgress) -> None:
        """It is one of several questions here, and none has a bar of its own."""

    return call(home, lambda channel: read_verdict(channel, VerifyIntegrityRequest(), show))
