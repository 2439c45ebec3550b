"""Who works which partition: session advisory locks, shared out evenly among those at work.

A partition's messages are worked by whoever holds its lock, on the very connection that holds it.
So the lock and the work live and die together: a process that is killed, or cut off, loses both at
once, and no message of a key is ever in two hands.
"""

import random
import zlib
from typing import Final

from services.runtime.database import Connection
from services.runtime.messaging.message import PARTITIONS

# Beside the partitions' own numbers: everyone at work holds this one, shared, to be counted.
_PRESENCE: Final = PARTITIONS

_ANNOUNCE: Final = "select pg_advisory_lock_shared($1, $2)"
_COUNT_PRESENT: Final = """
select count(*) from pg_locks
 where locktype = 'advisory' and objsubid = 2 and granted
   and database = (select oid from pg_database where datname = current_database())
   and classid = ($1::bigint & 4294967295)::oid and objid = $2::oid
"""
_RELEASE: Final = "select pg_advisory_unlock($1, partition) from unnest($2::int[]) as p (partition)"
_TAKE: Final = """
select partition from unnest($2::int[]) as p (partition)
 where pg_try_advisory_lock($1, partition) limit $3
"""


class HeldPartitions:
    """The partitions that one connection holds for one kind of work."""

    def __init__(self, connection: Connection, work: str) -> None:
        self._connection = connection
        self._lock_class = zlib.crc32(f"messaging.{work}".encode()) - 2**31
        self.numbers: list[int] = []

    async def announce(self) -> None:
        """Be counted among those who share the partitions of this work."""
        await self._connection.execute(_ANNOUNCE, self._lock_class, _PRESENCE)

    async def balance(self) -> None:
        """Give away what is more than a fair share, or take what is free up to it.

        Only to be called between pieces of work: what is given away is at rest.
        """
        present = await self._connection.fetchval(_COUNT_PRESENT, self._lock_class, _PRESENCE)
        fair_share = -(-PARTITIONS // max(1, present))
        surplus = self.numbers[fair_share:]
        if surplus:
            await self._connection.execute(_RELEASE, self._lock_class, surplus)
            del self.numbers[fair_share:]
        elif len(self.numbers) < fair_share:
            await self._take(fair_share - len(self.numbers))

    async def _take(self, wanted: int) -> None:
        # In random order, so that two who come at once do not contend for the same ones.
        candidates = [number for number in range(PARTITIONS) if number not in self.numbers]
        random.shuffle(candidates)
        taken = await self._connection.fetch(_TAKE, self._lock_class, candidates, wanted)
        self.numbers.extend(row["partition"] for row in taken)
