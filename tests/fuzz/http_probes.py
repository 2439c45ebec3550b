"""An HTTP request as the bytes that it is, and what all of them are made with."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.fuzz.probes import Expected, Mark
from tests.fuzz.world import World

API: Final = "/api/v1"
MAKING: Final = (f"{API}/payments", f"{API}/payment_intents")

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """One request, to the byte."""

    mark: Mark
    kind: str
    expected: Expected
    method: str
    target: str
    headers: Headers = ()
    """As latin-1 text, so that a header may hold any bytes but those that end it."""
    body: bytes | None = None
    is_http: bool = True
    """Whether it keeps to HTTP's own form, and so is answered by the gateway itself."""

    @property
    def wire(self) -> bytes:
        head = [f"{self.method} {self.target} HTTP/1.1", "Host: 127.0.0.1"]
        head += [f"{name}: {value}" for name, value in self.headers]
        if self.body is not None:
            head.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + (self.body or b"")

    def replay(self, address: str) -> str:
        """A command that sends the same bytes; a key in it is of a run that is over."""
        host, _, port = address.rpartition(":")
        wire = self.wire if len(self.wire) < 4_000 else self.wire[:4_000] + b"..."
        return f"printf {shlex.quote(_printable(wire))} | nc {host} {port}"


def _printable(wire: bytes) -> str:
    shown = (
        chr(byte) if 32 <= byte < 127 and byte not in b"\\%'" else f"\\{byte:03o}" for byte in wire
    )
    return "".join(shown)


Way = Callable[[World, Random, Mark], HttpProbe]
"""How a request of one kind is made."""


def shown(world: World, chance: Random, mark: Mark, *, api_key: str | None = None) -> Headers:
    headers: list[tuple[str, str]] = [
        ("Authorization", f"Bearer {api_key or world.api_key}"),
        ("Idempotency-Key", f"{mark.text}-key"),
        ("Request-Id", mark.request_id),
    ]
    if chance.random() < 0.5:
        headers.append(("Content-Type", "application/json"))
    return tuple(headers)


def ordering(kind: str, expected: Expected, make: Callable[[Random, Mark], bytes]) -> Way:
    """A payment asked for with a body that `make` makes."""

    def probe(world: World, chance: Random, mark: Mark) -> HttpProbe:
        target = chance.choice(MAKING)
        headers = shown(world, chance, mark)
        return HttpProbe(mark, kind, expected, "POST", target, headers, make(chance, mark))

    return probe


def in_a_line(name: str, value: str) -> tuple[str, str]:
    """A header that keeps to HTTP's form: no control characters, any bytes beyond ASCII."""
    kept = value.encode().decode("latin-1")
    return name, "".join(each for each in kept if each >= " " and each != "\x7f").strip()


def weighted(**weights: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(weights), tuple(weights.values())
