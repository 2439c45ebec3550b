"""The calls that changed something: each idempotency key is taken once."""

import json
from typing import Final

from services.access.domain.call import Call
from services.runtime.database import Connection
from services.runtime.queries import load_queries

_SQL: Final = load_queries(__package__)


async def claim(connection: Connection, call: Call, subject: str) -> str | None:
    """Take the call's key for what the subject's hex names; if it was taken before, by what for."""
    scope = None if call.merchant_id is None else call.merchant_id.hex
    said = json.dumps(dict(call.said))
    if await connection.fetchval(_SQL["claim_call"], scope, call.idempotency_key, said, subject):
        return None
    row = await connection.fetchrow(_SQL["find_call"], scope, call.idempotency_key)
    assert row is not None, "calls are never removed"
    call.require_same(json.loads(row["said"]))
    standing: str = row["subject_id"].hex
    return standing
