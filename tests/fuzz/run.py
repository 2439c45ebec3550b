"""The run: what cannot be taken, then what may be, then what is left of it all."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import httpx
from grpc.aio import Channel
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from oracle import Bounds, Report, consult, read_sandbox
from services.runtime.database import Connection
from tests.fuzz.documented import documented
from tests.fuzz.http_door import HttpDoor
from tests.fuzz.http_drawing import HttpProbes
from tests.fuzz.probes import OPEN_FROM, Door, Finding, Mark
from tests.fuzz.remains import grown, row_counts, search_file, search_rows, superuser
from tests.fuzz.rpc_door import RpcDoor, rpc_channel, served
from tests.fuzz.rpc_probes import RpcProbes
from tests.fuzz.shops import settle
from tests.fuzz.world import World
from tests.running_platform import ACCOUNTS, Platform, channel_to, order, platform

# So many requests are under way at a time, at each door.
_AT_ONCE: Final = 24
_HTTP_SHARE: Final = 0.56
_DOCUMENTED_SHARE: Final = 0.04
# Of the requests that are ours, so many have no meaning.
_HOPELESS_SHARE: Final = 0.55
_QUIET_SECONDS: Final = 120.0
_BOUNDS: Final = Bounds(work=timedelta(seconds=20))
# Everything is logged; every call is traced, and told on standard output, none dropped.
_OPEN_BOOK: Final = {
    "LOG_LEVEL": "debug",
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_TRACES_SAMPLER": "always_on",
    "OTEL_BSP_MAX_QUEUE_SIZE": "1000000",
}
_LISTED_MAX: Final = 40
_UNREADABLE: Final = "gave up on WebhookEventReceived"


class Probe(Protocol):
    """What is sent."""

    @property
    def mark(self) -> Mark: ...
    @property
    def kind(self) -> str: ...
    def replay(self, address: str) -> str: ...


P = TypeVar("P", bound=Probe)
P_contra = TypeVar("P_contra", bound=Probe, contravariant=True)


class Judge(Protocol[P_contra]):
    """Where it is sent, and judged."""

    async def judge(self, probe: P_contra) -> tuple[list[str], bool]: ...


@dataclass
class Outcome:
    """What a run has found, and how much it has tried."""

    seed: int
    sent: Counter[str] = field(default_factory=Counter)
    """Requests by door and what became of them."""
    refused: set[Mark] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    searched: Counter[str] = field(default_factory=Counter)
    """How many rows, log lines and spans were looked through."""
    methods: int = 0
    """How many methods gRPC's reflection told of."""
    report: Report = field(default_factory=Report)

    @property
    def total(self) -> int:
        return sum(self.sent.values())

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.sent.items()))
        looked = ", ".join(f"{count} {what}" for what, count in self.searched.items())
        lines = [
            f"{self.total} requests in {self.seconds:.0f} s: {kinds}",
            f"gRPC methods: {self.methods}; searched: {looked}",
            str(self.report),
            f"findings: {len(self.findings) or 'none'}",
            *(f"  {each}" for each in self.findings[:_LISTED_MAX]),
        ]
        if len(self.findings) > _LISTED_MAX:
            lines.append(f"  and {len(self.findings) - _LISTED_MAX} more")
        return "\n".join(lines)


async def fuzz(folder: Path, *, seed: int, count: int) -> Outcome:
    """Send so many requests to a platform of its own, and look at what is left."""
    outcome, began_at = Outcome(seed), time.monotonic()
    async with platform(folder, **_OPEN_BOOK) as there:
        world = await settle(there)
        async with superuser(there.run.database_url) as owner:
            await _consult(there, owner)
            await _send(world, owner, outcome, count)
            await _look(there, world, owner, outcome)
    for path in (there.log, there.spans):
        found, lines = search_file(path)
        outcome.findings += found
        outcome.searched[f"lines of {path.name}"] = lines
        if lines < outcome.total:
            outcome.findings.append(Finding(path.name, f"it has only {lines} lines"))
    outcome.seconds = time.monotonic() - began_at
    return outcome


async def again(folder: Path, *, seed: int, mark: Mark) -> Outcome:
    """Send one request of a run once more, to a platform of its own."""
    outcome = Outcome(seed)
    async with platform(folder, **_OPEN_BOOK) as there:
        world = await settle(there)
        async with rpc_channel(world) as channel:
            if mark.door is Door.RPC:
                rpc = await _rpc_probes(world, channel, outcome)
                await _through(
                    RpcDoor(channel), world.grpc_address, outcome, [rpc.probe(mark.number)]
                )
            else:
                http = HttpProbes(seed, world)
                await _through_http(world, outcome, [http.probe(mark.number)])
    return outcome


async def _send(world: World, owner: Connection, outcome: Outcome, count: int) -> None:
    """First what has no meaning, after which there is no row more; then the rest."""
    https, made = round(count * _HTTP_SHARE), round(count * _DOCUMENTED_SHARE)
    rpcs = count - https - made
    async with rpc_channel(world) as channel:
        http = HttpProbes(outcome.seed, world)
        rpc = await _rpc_probes(world, channel, outcome)
        document = await _document(world)
        documents = documented(document, world, seed=outcome.seed, count=made)
        before = await row_counts(owner)
        for first, share in ((0, _HOPELESS_SHARE), (OPEN_FROM, 1 - _HOPELESS_SHARE)):
            numbers = range(first, first + round(https * share))
            asked: Iterable[Any] = map(http.probe, numbers)
            if first:
                asked = chain(asked, documents)
            calls = map(rpc.probe, range(first, first + round(rpcs * share)))
            await asyncio.gather(
                _through_http(world, outcome, asked),
                _through(RpcDoor(channel), world.grpc_address, outcome, calls),
            )
            if not first and not outcome.findings:
                outcome.findings += grown(before, await row_counts(owner))


async def _rpc_probes(world: World, channel: Channel, outcome: Outcome) -> RpcProbes:
    methods = await served(channel)
    outcome.methods = len(methods)
    return RpcProbes(outcome.seed, world, methods)


async def _document(world: World) -> Any:
    async with httpx.AsyncClient(base_url=f"http://{world.http_address}") as http:
        return (await http.get("/openapi.json")).json()


async def _through_http(world: World, outcome: Outcome, probes: Iterable[Any]) -> None:
    """Each of those who send has a connection of its own."""
    shared = iter(probes)
    doors = [HttpDoor(world.http_address) for _ in range(_AT_ONCE)]
    await asyncio.gather(
        *(_one_by_one(door, world.http_address, outcome, shared) for door in doors)
    )
    for door in doors:
        door.close()


async def _through(door: Judge[P], address: str, outcome: Outcome, probes: Iterable[P]) -> None:
    shared = iter(probes)
    await asyncio.gather(*(_one_by_one(door, address, outcome, shared) for _ in range(_AT_ONCE)))


async def _one_by_one(door: Judge[P], address: str, outcome: Outcome, probes: Iterator[P]) -> None:
    for probe in probes:
        problems, is_refused = await door.judge(probe)
        became = "refused" if is_refused else "taken"
        outcome.sent[f"{probe.mark.door} {became}"] += 1
        if is_refused:
            outcome.refused.add(probe.mark)
        for problem in problems:
            replay = probe.replay(address)
            outcome.findings.append(Finding(probe.kind, problem, probe.mark, replay))


async def _look(there: Platform, world: World, owner: Connection, outcome: Outcome) -> None:
    """Whether it lives, pays and is right, and what is in its rows."""
    if not there.is_alive:
        outcome.findings.append(Finding("process", "it has ended"))
        return
    async with httpx.AsyncClient(base_url=f"http://{world.http_address}", timeout=60) as http:
        paid = await order(http, world.api_key)
    if paid["status"] != "captured" or paid["validation_issues"]:
        outcome.findings.append(Finding("process", f"it does not pay as before: {paid}"))
    outcome.report = await _consult(there, owner)
    outcome.findings += [Finding("oracle", str(each)) for each in outcome.report.violations]
    found, rows = await search_rows(owner, outcome.refused)
    outcome.findings += found
    outcome.searched["rows"] = rows


async def _consult(there: Platform, owner: Connection) -> Report:
    """The oracle's answer, once it is content or has had the time to be.

    An event that is signed and cannot be read is a dead letter: nothing else may become of it.
    """
    assert there.run.sandbox_url is not None
    give_up_at = time.monotonic() + _QUIET_SECONDS
    async with channel_to(there.run) as channel:
        while True:
            record = await read_sandbox(there.run.sandbox_url, ACCOUNTS)
            told = await consult(owner, record, ledger=LedgerServiceStub(channel), bounds=_BOUNDS)
            violations = [each for each in told.violations if _UNREADABLE not in each.message]
            report = replace(told, violations=violations)
            if report.is_clean or time.monotonic() > give_up_at:
                return report
            await asyncio.sleep(1)
