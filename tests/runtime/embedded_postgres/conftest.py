"""The home that the tests of one module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import short_folder


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """A home whose data directory is made by whichever test comes first."""
    with short_folder() as home:
        yield home
