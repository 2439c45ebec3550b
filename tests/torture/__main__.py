"""`python -m tests.torture`: any number of kills with any seed, and what they came to."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate
from tests.conftest import DatabaseUrls
from tests.torture.stage import stage
from tests.torture.storm import Outcome, rage


def main() -> int:
    """Run the torture; 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--cycles", type=int, default=500, help="how many processes to kill")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="with this broker as the bus")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}, {options.cycles} cycles\n")
    sys.stdout.flush()
    folder = Path(tempfile.mkdtemp(prefix="sy-", dir="/tmp"))
    folder.chmod(0o711)
    outcome = asyncio.run(_run(folder, options.seed, options.cycles, options.kafka))
    sys.stdout.write(f"{outcome}\n")
    sys.stdout.write(f"the database and what the processes logged are in {folder}\n")
    return 1 if outcome.violations else 0


async def _run(folder: Path, seed: int, cycles: int, bootstrap: str | None) -> Outcome:
    server = await EmbeddedPostgres.start(folder)
    try:
        urls = DatabaseUrls(server.owner_url, server.application_url)
        await migrate(owner_url=urls.owner, application_url=urls.application)
        async with stage(urls, folder, seed, bootstrap) as scene:
            return await rage(scene, seed=seed, cycles=cycles)
    finally:
        await server.stop()


if __name__ == "__main__":
    sys.exit(main())
