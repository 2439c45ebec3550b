"""A process killed with its intent committed and its processor not asked."""

import asyncio
import sys

import pytest

from services.kernel.errors import InFlight
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import running_house, simulated
from tests.orchestrator.orders import execution


async def test_a_kill_after_the_intent_leaves_it_whole_and_the_processor_unasked(
    application_url: str,
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.orchestrator.driver_process",
        application_url,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    process.kill()
    await process.communicate()
    async with running_house(application_url, simulated()) as house:
        (payment,) = await house.rows("select * from payments.payments")
        assert payment["state"] == "confirming"
        (attempt,) = await house.rows("select * from payments.attempts")
        assert f"att_{attempt['id'].hex}" == line.decode().strip()
        assert (attempt["state"], attempt["records"]) == ("open", None)
        counts = {name: await house.count(name) for name in ("plans", "steps", "transitions")}
        assert counts == {"plans": 1, "steps": 1, "transitions": 2}
        assert await house.count("postings") == 0
        assert [told.type for told in await house.told()] == ["PaymentCreated"]
        with pytest.raises(InFlight), typed_errors():
            await house.execute(execution())
        assert house.calls == []
