"""The stage: a platform from nothing, its outside world, and a shop that uses it."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.demo.outside import Bank, Processor
from cli.demo.platform import Platform
from cli.demo.scene import Screen, StepFailed
from cli.demo.shop import Shop


@dataclass
class Stage:
    """What every act plays with; after a restart, all of it is where it was."""

    screen: Screen
    platform: Platform
    shop: Shop
    processor: Processor
    bank: Bank


@contextmanager
def opened(screen: Screen) -> Iterator[Stage]:
    """Everything started in a folder of its own, and gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="switchyard-demo-")))
        # The database runs under an account of its own when root starts it.
        folder.chmod(0o711)
        bank = stack.enter_context(Bank.running(folder / "northbank"))
        platform = Platform(folder / "home", bank.url)
        stack.callback(platform.stop)
        try:
            yield _set(screen, platform, bank, stack)
        except Exception:
            screen.console.print(platform.last_words(), style="dim")
            raise


def _set(screen: Screen, platform: Platform, bank: Bank, stack: ExitStack) -> Stage:
    run = platform.start()
    if run.http_url is None or run.sandbox_url is None or run.merchant is None:
        raise StepFailed("run.json should name gateway, sandbox and merchant", run)
    shop, processor = Shop(run.http_url, run.merchant["api_key"]), Processor(run.sandbox_url)
    stack.callback(shop.close)
    stack.callback(processor.close)
    return Stage(screen, platform, shop, processor, bank)
