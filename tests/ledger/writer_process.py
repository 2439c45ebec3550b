"""A process that posts without pause and says on its standard output what was acknowledged."""

import asyncio
import sys
from itertools import count

from services.kernel.clock import SystemClock
from services.ledger.store.journal import Journal
from services.ledger.translate import event_payload
from services.runtime.database import Database
from tests.ledger.drafts import draft, entry, sale

_IN_FLIGHT = 20
_CONVERSION = (entry("platform:exchange", -46, "EUR"), entry("MERCHANT", 46, "EUR"))


async def main(url: str, name: str) -> None:
    """Post until standard input ends; each line is `key id` of a transaction known to stand."""
    database = await Database.connect(url, application_name=name)
    journal = Journal(database, event_payload, SystemClock())
    numbers = count()
    stop = asyncio.Event()

    async def post_on_and_on() -> None:
        while not stop.is_set():
            key = f"{name}:{next(numbers)}"
            posted = await journal.post(draft(key, *sale(key).entries, *_CONVERSION))
            sys.stdout.write(f"{key} {posted.transaction_id}\n")

    posting = [asyncio.create_task(post_on_and_on()) for _ in range(_IN_FLIGHT)]
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    await asyncio.gather(*posting)
    await journal.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
