"""A scene: what is about to be shown, what was sent, what came back, and what must hold.

What does not hold ends the demo, which says in which scene, what was expected and what it saw.
"""

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 30.0
_LOOK_EVERY_SECONDS: Final = 0.05
_PIPED_WIDTH: Final = 1_000
_MARK_WIDTH: Final = 4


class StepFailed(Exception):
    """Something was not what it should be."""

    def __init__(self, what: str, saw: object) -> None:
        super().__init__(f"{what}; but it saw {saw!r}")


@dataclass
class Screen:
    """Where the story appears, in colour where there is any, and how much of it has held."""

    console: Console
    scene_count: int = 0
    check_count: int = 0
    title: str = "the start"
    began_at: float = field(default_factory=time.monotonic)

    @classmethod
    def on_terminal(cls) -> "Screen":
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal that knows no € shows a question mark, and not a traceback.
            sys.stdout.reconfigure(errors="replace")
        # What is piped has no width to fit into, and an id that is broken in two is none.
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        return cls(Console(width=width, markup=False, emoji=False, highlight=False))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began_at

    @contextmanager
    def scene(self, title: str, about: str) -> Iterator["Scene"]:
        """One scene; `about` says in one line what is about to be shown."""
        self.scene_count += 1
        self.title = f"scene {self.scene_count}, {title}"
        self.console.print()
        self.line(f"{self.scene_count:>2}", title, "bold")
        self.line("", about, "dim")
        yield Scene(self)

    def line(self, mark: str, text: str, style: str = "") -> None:
        row = Table.grid(padding=0)
        row.add_column(width=_MARK_WIDTH)
        row.add_column(overflow="fold")
        row.add_row(Text(f"{mark:>2}", style), Text(text, style if style != "green" else ""))
        self.console.print(row)

    def mark(self, sign: str, plain: str) -> str:
        return plain if self.console.options.ascii_only else sign


@dataclass(frozen=True)
class Scene:
    """What a scene may say, and what it holds to be so."""

    screen: Screen

    def sent(self, text: str) -> None:
        self.screen.line(self.screen.mark("→", ">"), text, "cyan")

    def got(self, text: str) -> None:
        self.screen.line(self.screen.mark("←", "<"), text, "magenta")

    def shows(self, text: str) -> None:
        self.screen.line("", text)

    def check(self, what: str, saw: object, expected: object = True) -> None:
        """Say what holds, or end the demo because it does not."""
        if saw != expected:
            raise StepFailed(f"{what}: {expected!r} was expected", saw)
        self.screen.check_count += 1
        self.screen.line(self.screen.mark("✓", "ok"), what, "green")

    def wait(self, what: str, read: Callable[[], T], holds: Callable[[T], bool]) -> T:
        """What is read as soon as it is as it must be; it is asked for until then."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not holds(found := read()):
            if time.monotonic() > give_up_at:
                raise StepFailed(f"{what}, within {_PATIENCE_SECONDS:.0f} s", found)
            time.sleep(_LOOK_EVERY_SECONDS)
        return found
