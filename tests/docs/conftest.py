"""One running system, and somebody who types beside it what the pages say."""

from collections.abc import Iterator

import pytest

from tests.cli.everything import up
from tests.conftest import short_folder
from tests.docs.pages import ROOT
from tests.docs.reader import Reader


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    """In a folder that has all of this checkout, and a `.switchyard` of its own."""
    with short_folder() as folder:
        for entry in ROOT.iterdir():
            if entry.name != ".switchyard":
                (folder / entry.name).symlink_to(entry)
        with up(folder / ".switchyard") as system:
            yield Reader(folder, system)
