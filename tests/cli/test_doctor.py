"""payment-cli doctor and postings, put to everything as payment-cli up runs it."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import asyncpg
import pytest

from tests.cli.conftest import run_cli
from tests.cli.everything import call, up
from tests.conftest import DatabaseUrls, short_folder

_SECONDS = 60.0


class Ward:
    """A system at work that has been paid twice and has refunded a part, and its owner's hand."""

    def __init__(self, home: Path, run: dict[str, Any], owner_url: str) -> None:
        self.home, self.run, self._owner_url = home, run, owner_url
        self.paid = [self._pay() for _ in range(2)]
        self.refund = call(run, f"/api/v1/payments/{self.paid[0]}/refund", {"amount": "2.50"})
        self.settle()

    def _pay(self) -> str:
        paid = call(self.run, "/api/v1/payments", {"amount": "12.50", "method": "pm_card_visa"})
        assert paid["status"] == "captured"
        return str(paid["id"])

    def settle(self) -> None:
        """Wait until all is booked."""
        give_up_at = time.monotonic() + _SECONDS
        while (sums := self.postings()) != {"posted": 3}:
            assert time.monotonic() < give_up_at, sums
            time.sleep(0.1)

    def postings(self) -> dict[str, int]:
        rows = self.sql("select state, count(*) as count from payments.postings group by state")
        return {row["state"]: row["count"] for row in rows}

    def sql(self, statement: str) -> list[asyncpg.Record]:
        return asyncio.run(self._sql(statement))

    async def _sql(self, statement: str) -> list[asyncpg.Record]:
        owner = await asyncpg.connect(self._owner_url)
        try:
            return list(await owner.fetch(statement))
        finally:
            await owner.close()

    @contextmanager
    def broken(self, table: str, *statements: str) -> Iterator[None]:
        """A table as it is after its owner wrote past every guard; afterwards it is as before."""
        name = table.replace(".", "_")
        self.sql(f"create table public.{name} as select * from {table}")
        self.sql(f"alter table {table} disable trigger user")
        for statement in statements:
            self.sql(statement)
        try:
            yield
        finally:
            columns = self.sql(
                "select string_agg(quote_ident(attname), ', ') from pg_attribute"
                f" where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped"
                "   and attgenerated = '' "
            )[0][0]
            self.sql(f"delete from {table}")
            self.sql(f"insert into {table} ({columns}) select {columns} from public.{name}")
            self.sql(f"alter table {table} enable trigger user")
            self.sql(f"drop table public.{name}")

    def doctor(self, *arguments: str) -> CompletedProcess[str]:
        return run_cli("doctor", "--home", str(self.home), *arguments)


@pytest.fixture(scope="module")
def ward(module_database_urls: DatabaseUrls) -> Iterator[Ward]:
    with short_folder() as folder:
        home = folder / "home"
        with up(home, DATABASE_URL=module_database_urls.application) as running:
            yield Ward(home, running.run, module_database_urls.owner)


def test_all_is_well_with_a_system_at_work(ward: Ward) -> None:
    told = ward.doctor()
    assert told.returncode == 0, told.stdout + told.stderr
    assert "2 captured" in told.stdout
    assert "captured       25.00 USD" in told.stdout
    assert "compared with their own record: 2 holds succeeded, 1 returns succeeded" in told.stdout
    assert "intact: " in told.stdout
    assert told.stdout.endswith("fine: nothing contradicts anything else\n")


def test_programs_are_told_the_same(ward: Ward) -> None:
    told = ward.doctor("--output", "json")
    assert told.returncode == 0, told.stderr
    tree = json.loads(told.stdout)
    assert (tree["state"], tree["violations"], tree["problems"]) == ("fine", [], [])
    assert tree["checked"]["payments"] == 2
    assert tree["captured_minor"] == {"USD": 2_500}
    assert tree["refunded_minor"] == {"USD": 250}
    assert tree["ledger"]["state"] == "INTEGRITY_STATE_INTACT"
    assert tree["in_doubt"] == tree["dead_letters"] == tree["left_out"] == []


def test_a_captured_payment_without_its_posting_is_drift(ward: Ward) -> None:
    lost = ward.paid[1].removeprefix("pay_")
    statement = f"delete from payments.postings where payment_id = '{lost}'"
    with ward.broken("payments.postings", statement):
        told = ward.doctor("--output", "json")
    assert told.returncode == 3, told.stderr
    tree = json.loads(told.stdout)
    found = {each["rule"]: each for each in tree["violations"]}
    assert found.keys() == {"posting.captured", "success.booked", "ledger.not_owed"}
    assert found["posting.captured"]["subject"] == ward.paid[1]
    assert found["posting.captured"]["message"] == "1250 was captured, and postings say 0"
    assert "payment-cli explain" in found["posting.captured"]["action"]


def test_a_refund_beyond_what_was_captured_is_drift(ward: Ward) -> None:
    headroom = (
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'steps_headroom'"
    )
    ((check,),) = ward.sql(headroom)
    with ward.broken(
        "payments.steps",
        "alter table payments.steps drop constraint steps_headroom",
        "update payments.steps set refund_reserved = captured where refunded > 0",
    ):
        told = ward.doctor()
    ward.sql(f"alter table payments.steps add constraint steps_headroom {check}")
    assert told.returncode == 3, told.stderr
    assert "More is paid out, or promised, than was taken (headroom.exceeded, 1):" in told.stdout
    assert "1500 is paid out or promised of 1250" in told.stdout
    assert "What to do: " in told.stdout
    assert told.stdout.endswith("drift: see above what to do\n")


def test_a_changed_ledger_entry_is_tampering(ward: Ward) -> None:
    statement = (
        "update ledger.ledger_entries set amount = amount + 1 where id ="
        " (select min(id::text)::uuid from ledger.ledger_entries)"
    )
    with ward.broken("ledger.ledger_entries", statement):
        told = ward.doctor()
    assert told.returncode == 4, told.stderr
    assert "tampering: UNBALANCED" in told.stdout
    assert "(ledger.unbalanced, 1):" in told.stdout
    assert "tampered with: somebody wrote to the ledger past the services" in told.stdout


def test_what_was_given_up_is_drift_until_an_operator_has_it_booked(ward: Ward) -> None:
    ward.sql(
        "update payments.postings set state = 'needs_reconciliation', try_count = 12,"
        " transaction_id = null, posted_at = null, failure_reason = 'SERVICE_UNAVAILABLE',"
        " failure_message = 'the ledger is away' where kind = 'refund'"
    )
    sick = ward.doctor()
    assert sick.returncode == 3, sick.stderr
    assert "was given up after 12 tries: SERVICE_UNAVAILABLE: the ledger is away" in sick.stdout
    assert "1 needs reconciliation with 2.50 USD" in sick.stdout
    home = ("--home", str(ward.home))
    listed = run_cli("postings", "list", "--state", "needs_reconciliation", *home)
    assert f"{ward.paid[0]}  refund" in listed.stdout
    order = ("postings", "retry", "--all", "--reason", "the ledger is back", *home)
    healed = run_cli(*order, "--operator", "maria", "--idempotency-key", "once")
    assert healed.stdout == "1 postings are brought to the ledger again\n", healed.stderr
    ward.settle()
    again = run_cli(*order, "--operator", "maria", "--idempotency-key", "once", "--output", "json")
    assert json.loads(again.stdout) == {"retried_count": 1}
    well = ward.doctor()
    assert well.returncode == 0, well.stdout
    story = run_cli("explain", ward.paid[0], *home)
    assert "maria had refund:rep_" in story.stdout


def test_what_could_not_be_looked_at_is_said_and_is_not_called_fine(ward: Ward) -> None:
    told = ward.doctor("--sandbox", "http://127.0.0.1:1")
    assert told.returncode == 1, told.stdout
    assert "not looked at  the sandbox's record cannot be read" in told.stdout
    assert "fine" not in told.stdout


def test_what_was_paid_before_may_be_left_out(ward: Ward) -> None:
    told = ward.doctor("--since", "2100-01-01", "--output", "json")
    assert told.returncode == 0, told.stdout
    tree = json.loads(told.stdout)
    assert tree["checked"]["payments"] == 0
    assert tree["left_out"] == ["payments made before 2100-01-01 00:00:00 UTC"]


def test_a_database_alone_can_be_asked(ward: Ward) -> None:
    told = run_cli("doctor", "--database", ward.run["database_url"], "--output", "json")
    assert told.returncode == 0, told.stderr
    tree = json.loads(told.stdout)
    assert tree["checked"]["payments"] == 2
    assert tree["ledger"] is None
    assert len(tree["left_out"]) == 2


def test_a_database_that_is_not_there_is_one_clear_line() -> None:
    told = run_cli("doctor", "--database", "postgresql://me:hidden@127.0.0.1:1/none")
    assert told.returncode == 1
    assert told.stderr.startswith("payment-cli: --database: nobody answers at 127.0.0.1:1")
    assert len(told.stderr.splitlines()) == 1
    assert "hidden" not in told.stderr


def test_where_nothing_runs_there_is_nothing_to_examine(tmp_path: Path) -> None:
    told = run_cli("doctor", "--home", str(tmp_path))
    assert told.returncode == 1
    assert "nothing runs under" in told.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry", "--reason", "x"),
        ("retry", "post_1", "--all", "--reason", "x"),
        ("retry", "post_1", "--payment", "pay_1", "--reason", "x"),
        ("retry", "--all"),
    ],
)
def test_an_order_to_try_again_says_which_and_why(arguments: tuple[str, ...]) -> None:
    told = run_cli("postings", *arguments)
    assert told.returncode == 2
    assert "Error: " in told.stderr
