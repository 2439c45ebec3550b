"""payment-cli in the test's own process, which many calls want, and a system that it calls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from cli.main import main
from tests.cli.conftest import serving
from tests.conftest import DatabaseUrls, short_folder

Cli = Callable[..., Result]


@contextmanager
def serving_processors(processors: str, database: DatabaseUrls) -> Iterator[Path]:
    """The home of a system with the processors that this file names."""
    with short_folder() as home:
        file = home / "processors.toml"
        file.write_text(processors)
        with serving(home, DATABASE_URL=database.application, PROCESSORS_FILE=str(file)):
            yield home


def cli_of(home: Path) -> Cli:
    """payment-cli, pointed at that system."""

    def run(*arguments: str, given: str = "") -> Result:
        env = {"SWITCHYARD_HOME": str(home)}
        return CliRunner().invoke(main, arguments, env=env, input=given)

    return run
