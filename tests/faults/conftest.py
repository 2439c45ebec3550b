"""What the tests of faults share: a stage, how long a fault lasts, and where figures are told."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import DatabaseUrls
from tests.torture.stage import Stage, stage

LONG = bool(os.environ.get("SWITCHYARD_TEST_LONG"))

Tell = Callable[[Sequence[object]], None]


@pytest.fixture
async def shared_stage(database_urls: DatabaseUrls, short_tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage over a database of the run's own server."""
    async with stage(database_urls, short_tmp_path, seed=7, bootstrap=None) as made:
        yield made


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Tell:
    """Tells what a long run came to; the routine one says nothing where all is well."""

    def tell(lines: Sequence[object]) -> None:
        if LONG:
            with capsys.disabled():
                sys.stdout.write("\n".join([f"\n{request.node.name}", *map(str, lines), ""]))

    return tell
