"""What is sent, and what must be so about its answer, whichever door it goes to."""

import re
from dataclasses import dataclass
from enum import StrEnum, unique
from random import Random
from typing import Final

_NUMBER_DIGITS: Final = 9


@unique
class Door(StrEnum):
    """Where a request goes."""

    HTTP = "http"
    DOCUMENTED = "documented"
    """HTTP too, made from /openapi.json."""
    RPC = "rpc"


@unique
class Expected(StrEnum):
    """What must become of a request."""

    REFUSED = "refused"
    """It has no meaning: it is refused, and nothing is written."""
    REMARKED = "remarked"
    """It is messy: it is refused, or taken with an issue at least."""
    ANSWERED = "answered"
    """It is whatever it is: it is refused or taken, and never the platform's fault."""


# Requests with a meaning, perhaps, are numbered from here on; those without, from nothing.
OPEN_FROM: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """What a request carries wherever it can, so that a row that it left is known for its own."""

    door: Door
    number: int

    @property
    def text(self) -> str:
        return f"fz{self.door[0]}{self.number:0{_NUMBER_DIGITS}d}"

    @property
    def request_id(self) -> str:
        return f"req_{_LEADS[self.door]}{self.number:0{_NUMBER_DIGITS}d}"


_LEADS: Final = {
    Door.HTTP: "019aa5a00f5a7f0080f5a0a",
    Door.DOCUMENTED: "019aa5a00f5a7f0080f5a0b",
    Door.RPC: "019aa5a00f5a7f0080f5a0c",
}
# A request id is kept as a UUID too, which is shown with dashes.
_MARK: Final = re.compile(
    rb"fz[hdr]\d{9}|019aa5a00f5a7f0080f5a0[abc]\d{9}|019aa5a0-0f5a-7f00-80f5-a0[abc]\d{9}"
)
_DOORS: Final = {b"h": Door.HTTP, b"d": Door.DOCUMENTED, b"r": Door.RPC} | {
    b"a": Door.HTTP,
    b"b": Door.DOCUMENTED,
    b"c": Door.RPC,
}


def marks_in(text: bytes) -> set[Mark]:
    """The requests that a text names."""
    return {
        Mark(_DOORS[found[-10:-9]], int(found[-_NUMBER_DIGITS:])) for found in _MARK.findall(text)
    }


def chance_of(seed: int, mark: Mark) -> Random:
    """What decides all of one request, by the seed and its number alone."""
    return Random(f"{seed}/{mark.door}/{mark.number}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be."""

    kind: str
    problem: str
    mark: Mark | None = None
    replay: str = ""

    def __str__(self) -> str:
        name = f" {self.mark.door}:{self.mark.number}" if self.mark else ""
        shown = f"\n    {self.replay}" if self.replay else ""
        return f"{self.kind}{name}: {self.problem}{shown}"
