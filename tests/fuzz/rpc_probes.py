"""gRPC requests, drawn from a seed: every method of every service that the server says it has."""

import base64
import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.fuzz import hostile
from tests.fuzz.messages import Filler
from tests.fuzz.probes import OPEN_FROM, Door, Expected, Mark, chance_of
from tests.fuzz.seeds import seeds
from tests.fuzz.world import World

Metadata = tuple[tuple[str, str | bytes], ...]

_SECONDS: Final = 30.0
_HUGE_BYTES: Final = 5_000_000
# What a parser of protobuf can make nothing of, whatever comes before it.
_NO_MESSAGE: Final = (
    *(b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x07", b"\x0a\x05ab", b"\x0f\x01"),
    *(b"\x00\x00", b"\xfa" * 9),
)
_HOPELESS: Final = ("bytes", "bytes", "stranger", "nowhere", "endless", "huge")
_HOPELESS_WEIGHTS: Final = (30, 30, 20, 20, 20, 0.3)
_BADNESS: Final = (0.02, 0.05, 0.15, 0.4, 1.0)


@dataclass(frozen=True, slots=True)
class RpcProbe:
    """One call."""

    mark: Mark
    kind: str
    expected: Expected
    path: str
    message: bytes
    metadata: Metadata
    timeout_seconds: float | None = _SECONDS
    is_stream: bool = False
    shown: str = ""
    method: MethodDescriptor | None = None

    def replay(self, address: str) -> str:
        """What was called with what, for a person to send again; a message as its hex digits."""
        digits = self.message[:3_000].hex() + ("..." if len(self.message) > 3_000 else "")
        known = f" # {self.shown[:600]}" if self.shown else ""
        odd = [f"{key}={value!r}" for key, value in self.metadata if key != "authorization"]
        told = shlex.quote(" ".join(odd))[:600]
        return f"{address}{self.path} message={digits} metadata={told}{known}"


class RpcProbes:
    """Draws calls of the methods that one running platform serves."""

    def __init__(self, seed: int, world: World, methods: Sequence[MethodDescriptor]) -> None:
        self._seed = seed
        self._world = world
        self._methods = methods
        self._seeds = seeds(world)

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(map(_path, self._methods))

    def probe(self, number: int) -> RpcProbe:
        """The call of this number: one that nothing may come of, or one that something may."""
        mark = Mark(Door.RPC, number)
        chance = chance_of(self._seed, mark)
        draw = self._open if number >= OPEN_FROM else self._hopeless
        return draw(chance, mark)

    def _hopeless(self, chance: Random, mark: Mark) -> RpcProbe:
        kind = chance.choices(_HOPELESS, _HOPELESS_WEIGHTS)[0]
        probe = self._good(chance, mark, kind, badness=0.02)
        match kind:
            case "stranger":
                return dataclasses.replace(probe, metadata=_strange(self._world, chance))
            case "nowhere":
                return dataclasses.replace(probe, path=_nowhere(chance, probe.path))
            case "endless":
                return dataclasses.replace(probe, timeout_seconds=None)
            case "huge":
                return dataclasses.replace(probe, message=b"\x7a" + b"x" * _HUGE_BYTES)
            case _:
                ending = chance.choice(_NO_MESSAGE)
                whole = probe.message if chance.random() < 0.5 else b""
                return dataclasses.replace(probe, message=whole + ending, shown="")

    def _open(self, chance: Random, mark: Mark) -> RpcProbe:
        """A message that may mean something; each method has its turn."""
        badness = chance.choice(_BADNESS)
        probe = self._good(chance, mark, "message", badness=badness, place=mark.number)
        probe = dataclasses.replace(probe, expected=Expected.ANSWERED)
        if chance.random() < 0.1:
            return dataclasses.replace(probe, metadata=(*probe.metadata, *_odd(chance)))
        if chance.random() < 0.1:
            return dataclasses.replace(
                probe, kind="bytes", message=_scrambled(chance, probe.message), shown=""
            )
        return probe

    def _good(
        self, chance: Random, mark: Mark, kind: str, *, badness: float, place: int | None = None
    ) -> RpcProbe:
        draw = chance.randrange(len(self._methods)) if place is None else place
        method = self._methods[draw % len(self._methods)]
        message = self._message(Filler(self._world, chance, mark, badness), chance, method)
        return RpcProbe(
            mark=mark,
            kind=kind,
            expected=Expected.REFUSED,
            path=_path(method),
            message=message.SerializeToString(),
            metadata=(
                ("authorization", f"Bearer {self._world.grpc_token}"),
                ("x-request-id", mark.request_id),
            ),
            is_stream=method.server_streaming,
            method=method,
            shown=" ".join(str(message).split()),
        )

    def _message(self, filler: Filler, chance: Random, method: MethodDescriptor) -> Message:
        """One of the method's type: a good one changed here and there, or filled from nothing."""
        seed = self._seeds.get(method.input_type.full_name)
        if seed is None or chance.random() < 0.3:
            return filler.message(method.input_type)
        good = GetMessageClass(method.input_type).FromString(seed.SerializeToString())
        return filler.changed(good, chance.randrange(4))


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _strange(world: World, chance: Random) -> Metadata:
    """Nobody's token, or another one."""
    ways: Sequence[Metadata] = (
        (),
        (("authorization", ""),),
        (("authorization", f"Bearer {world.grpc_token}x"),),
        (("authorization", world.grpc_token),),
        (("authorization", f"Bearer {world.api_key}"),),
        (("authorization", f"Bearer {chance.choice(hostile.CARDS)}"),),
        (("authorization-bin", hostile.junk(chance, 40)),),
    )
    return chance.choice(ways)


def _odd(chance: Random) -> Metadata:
    """Headers that nobody asked for."""
    card = chance.choice(hostile.CARDS)
    ways: Sequence[Metadata] = (
        (("x-request-id", card),),
        (("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"),),
        (("traceparent", card * 5),),
        (("x-odd-bin", hostile.junk(chance, 2_000)),),
        tuple((f"x-odd-{place}", "v" * 50) for place in range(60)),
        (("x-odd", "v" * 5_000),),
    )
    return chance.choice(ways)


def _nowhere(chance: Random, path: str) -> str:
    ways = (
        *(f"{path}x", path.lower(), path.rsplit("/", 1)[0] + "/", "/" + "a" * 2_000, "/a/b/c/d"),
        f"/{chance.choice(hostile.CARDS)}/x",
    )
    return chance.choice(ways)


def _scrambled(chance: Random, message: bytes) -> bytes:
    """The message with some of its bytes changed, doubled or cut off."""
    scrambled = bytearray(message or b"\x0a\x01a")
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(scrambled))
        scrambled[place] = chance.randrange(256)
    if chance.random() < 0.3:
        scrambled += scrambled[: chance.randrange(len(scrambled))]
    return bytes(scrambled[: chance.randrange(1, len(scrambled) + 1)])


def forged(probe: RpcProbe, response: bytes) -> RpcProbe | None:
    """The same call for the next page, with a place in its token that is none."""
    method = probe.method
    if method is None or "next_page_token" not in method.output_type.fields_by_name:
        return None
    answer: Any = GetMessageClass(method.output_type).FromString(response)
    if not answer.next_page_token:
        return None
    token = answer.next_page_token
    parts = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    chance = Random(f"{probe.mark.text}/page")
    parts[chance.randrange(1, len(parts))] = hostile.text(chance)
    request: Any = GetMessageClass(method.input_type).FromString(probe.message)
    text = json.dumps(parts, separators=(",", ":")).encode()
    request.page_token = base64.urlsafe_b64encode(text).decode().rstrip("=")
    return dataclasses.replace(probe, message=request.SerializeToString())
