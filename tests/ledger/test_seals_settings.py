"""What is sealed reads the same under every setting that a database or a login may have."""

import asyncpg
import pytest

from tests.ledger.conftest import LedgerUnderTest, open_ledger
from tests.ledger.messages import sale
from tests.ledger.sealing import seal_all, verify

_SETTINGS = [
    ("timezone", "Asia/Tokyo"),
    ("datestyle", "german"),
    ("intervalstyle", "sql_standard"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("standard_conforming_strings", "off"),
]


async def _set_for_database(owner_url: str, setting: str, value: str) -> None:
    owner = await asyncpg.connect(owner_url)
    name = await owner.fetchval("select quote_ident(current_database())")
    await owner.execute(f"alter database {name} set {setting} to '{value}'")
    await owner.close()


@pytest.mark.parametrize(("setting", "value"), _SETTINGS)
async def test_an_untouched_ledger_is_intact_whatever_the_session_is_set_to(
    ledger: LedgerUnderTest, owner_url: str, application_url: str, setting: str, value: str
) -> None:
    for number in range(6):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    assert await seal_all(ledger) == 2
    await _set_for_database(owner_url, setting, value)
    async with open_ledger(application_url) as elsewhere:
        assert not (await verify(elsewhere)).findings
        await elsewhere.stub.PostTransaction(sale("sealed over there"))
        assert await seal_all(elsewhere) == 1
    verdict = await verify(ledger)
    assert not verdict.findings
    assert verdict.checked.blocks_checked == 3
