"""What a guard is: where it stands, what the code is without it, and which tests have to notice."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Rotten(Exception):
    """An entry speaks of something that is not there any more."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A text that stands exactly once in a file, and what stands there without the guard."""

    file: str
    text: str
    instead: str = ""

    def check(self, root: Path = ROOT) -> None:
        """Raise Rotten unless there is exactly one such text, and taking it out changes it."""
        path = root / self.file
        if not path.is_file():
            raise Rotten(f"there is no {self.file}")
        count = path.read_text().count(self.text)
        if count != 1:
            raise Rotten(f"{self.file} has {count} times, and not once:\n{self.text}")
        if self.text == self.instead:
            raise Rotten(f"nothing is taken out of {self.file}")

    def make(self, root: Path) -> None:
        """Take the guard out of a checkout that is a copy."""
        self.check(root)
        path = root / self.file
        path.write_text(path.read_text().replace(self.text, self.instead))


@dataclass(frozen=True, slots=True)
class Guard:
    """Something that keeps money from going wrong, and the tests that miss it when it is gone.

    `cuts` are made together: where two things keep the same, the code alone is not without it
    until both are gone.
    """

    name: str
    protects: str
    cuts: tuple[Cut, ...]
    tests: tuple[str, ...]
    """Node ids as pytest takes them; one of them has to fail."""

    def check(self, root: Path = ROOT) -> None:
        """Raise Rotten if a text, or a test, is not there as it is told."""
        for cut in self.cuts:
            cut.check(root)
        if not (self.cuts and self.tests):
            raise Rotten(f"{self.name} takes out nothing, or names no test")
        for test in self.tests:
            file, _, function = test.partition("::")
            path = root / file
            if not path.is_file() or f"def {function}(" not in path.read_text():
                raise Rotten(f"{self.name}: there is no test {test}")
