"""The oracle put to a system at work: nothing that is merely under way may look like a mistake.

The tables are read as of one moment, in a transaction that can write nothing; but the processor's
record is of another moment. So what seems wrong is looked at again a little later, and only what
seems wrong both times is told.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import httpx

from oracle.asking import consult
from oracle.books import QUERIES
from oracle.record import Record
from oracle.report import Bounds, Report, Violation
from oracle.standing import Standing, read_standing
from services.runtime.database import DATABASE_ERRORS, Connection, is_too_slow
from services.runtime.database_reach import reach
from services.runtime.startup import StartupError

ReadRecord = Callable[[], Awaitable[Record]]
"""Asks the processors for their record; raises httpx's errors."""

# Longer than record and tables are apart, or a look takes for what has just begun to be committed.
_PAUSE: Final = timedelta(seconds=2)
_PATIENCE_SECONDS: Final = 10.0


class NotExamined(StartupError):
    """The database cannot be asked."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How patient an examination is, and how far back it looks."""

    bounds: Bounds
    statement_timeout: timedelta
    since: datetime | None = None
    pause: timedelta = _PAUSE


@dataclass(frozen=True, slots=True)
class Examination:
    """What the oracle found in a system at work, and what stands open there."""

    report: Report
    standing: Standing
    is_compared: bool
    """Whether the processors' own record was held against it."""
    problem: str = ""
    """Why the processors' record was not compared, though it should have been."""


async def examine(
    database_url: str, terms: Terms, *, setting: str, read_record: ReadRecord | None = None
) -> Examination:
    """Look once, and again if anything seems wrong; `setting` is where the URL comes from."""
    first = await _look(database_url, terms, setting, read_record)
    if first.report.is_clean:
        return first
    await asyncio.sleep(terms.pause.total_seconds())
    second = await _look(database_url, terms, setting, read_record)
    seen = {(each.rule, each.subject) for each in first.report.violations}
    lasting = [each for each in second.report.violations if (each.rule, each.subject) in seen]
    return replace(second, report=replace(second.report, violations=lasting))


async def _look(
    database_url: str, terms: Terms, setting: str, read_record: ReadRecord | None
) -> Examination:
    record, problem = None, ""
    if read_record is not None:
        try:
            record = await read_record()
        except (httpx.HTTPError, ValueError, KeyError) as error:
            problem = f"the sandbox's record cannot be read: {error!r}"
    async with _snapshot(database_url, terms, setting) as connection:
        report = await consult(connection, record, bounds=terms.bounds, since=terms.since)
        given_up = [_given_up(row) for row in await connection.fetch(QUERIES["given_up"])]
        standing = await read_standing(connection)
    report = replace(report, violations=[*report.violations, *given_up])
    return Examination(report, standing, record is not None, problem)


def _given_up(row: asyncpg.Record) -> Violation:
    tries = "1 try" if row["try_count"] == 1 else f"{row['try_count']} tries"
    message = f"was given up after {tries}: {row['reason']}: {row['message']}"
    return Violation("posting.given_up", row["idempotency_key"], message)


@asynccontextmanager
async def _snapshot(database_url: str, terms: Terms, setting: str) -> AsyncIterator[Connection]:
    """A connection on which everything is of one moment, and nothing can be written."""
    connection = await reach(database_url, setting=setting, application_name="switchyard doctor")
    timeout_ms = round(terms.statement_timeout.total_seconds() * 1000)
    try:
        await connection.execute(f"set statement_timeout = {timeout_ms}")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    except DATABASE_ERRORS as error:
        raise NotExamined(f"{setting}: {_why(error, terms)}") from error
    finally:
        await connection.close(timeout=_PATIENCE_SECONDS)


def _why(error: Exception, terms: Terms) -> str:
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError):
        return "this is not Switchyard's database, or it is not migrated: run payment-cli migrate"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return (
            f"this login may not read everything ({error}): use the application's, or the owner's"
        )
    if is_too_slow(error):
        seconds = terms.statement_timeout.total_seconds()
        return f"one question took longer than {seconds:g} s: try again, or give it more time"
    return f"the database went away: {error}"
