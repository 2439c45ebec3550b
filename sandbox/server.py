"""The running sandbox: its parts put together, begun again on request, and served over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from sandbox import codec, control, three_d_secure
from sandbox.api import Api
from sandbox.clock import Clock, ClockSetting
from sandbox.commit import EVERY_ACCOUNT, Committer
from sandbox.control import Control
from sandbox.domain.webhook_endpoints import WebhookEndpoint, fresh_secret
from sandbox.faults import Faults
from sandbox.folder_lock import FolderLock
from sandbox.seed import Seed
from sandbox.shapes import View
from sandbox.storage import Storage
from sandbox.three_d_secure import ThreeDSecure
from sandbox.timekeeper import Timekeeper
from sandbox.webhooks import Webhooks
from sandbox.wire import Answer, HttpServer, Reply, Request

# The version whose shapes these are; it is the one the pinned SDK asks for.
API_VERSION: Final = "2026-10-28.endive"

_NO_SUCH_URL: Final = Answer(
    404,
    b'{"error":{"type":"invalid_request_error","message":"Unrecognized request URL."}}',
    {"Content-Type": "application/json"},
)


class SeedMismatch(Exception):
    """The directory holds a run of another seed."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a sandbox."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 12111
    seed: int | None = None
    public_url: str | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None


class Sandbox:
    """One processor, with everything it remembers."""

    http: HttpServer

    def __init__(self, options: Options, lock: FolderLock, storage: Storage) -> None:
        self._options = options
        self._lock = lock
        self._storage = storage
        self._public_url = options.public_url or ""
        self._begin(_seed_of_run(storage, options.seed))

    @classmethod
    async def start(cls, options: Options) -> Sandbox:
        """Open the directory and listen; raises OSError, FolderInUse or SeedMismatch."""
        lock = await FolderLock.take(options.data)
        try:
            sandbox = cls(options, lock, Storage.open(options.data))
        except SeedMismatch:
            lock.release()
            raise
        try:
            sandbox.http = await HttpServer.listen(sandbox, options.host, options.port)
        except OSError:
            await sandbox._close_parts()
            raise
        if not sandbox._public_url:
            sandbox._public_url = f"http://{options.host}:{sandbox.http.port}"
        return sandbox

    def _begin(self, seed: Seed) -> None:
        storage = self._storage
        self.clock = Clock(_clock_setting(storage))
        self.webhooks = Webhooks(storage, seed, self.view)
        self.committer = Committer(storage, self.clock, seed, self.webhooks.announce)
        self.faults = Faults(storage, seed)
        self.timekeeper = Timekeeper(self.committer)
        self._api = Api(self.committer, self.faults, self.view)
        self._page = ThreeDSecure(self.committer, self.view)
        self._control = Control(self)
        storage.add(run={"seed": str(seed.value)})
        if self._options.webhook_url is not None:
            self._register_webhook(self._options.webhook_url)

    def _register_webhook(self, url: str) -> None:
        for found in self.committer.endpoints:
            if found.account == EVERY_ACCOUNT and found.url == url:
                return
        work = self.committer.open_work(EVERY_ACCOUNT)
        secret = self._options.webhook_secret or fresh_secret(work)
        work.put(WebhookEndpoint(**work.identity(WebhookEndpoint), url=url, secret=secret))
        self.committer.commit(work)

    async def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        if request.path.startswith("/v1/"):
            return await self._api(request)
        if request.path.startswith(three_d_secure.PREFIX):
            return await self._page(request)
        if request.path.startswith(control.PREFIX):
            return await self._control(request)
        return _NO_SUCH_URL

    def view(self) -> View:
        """How things are shown right now."""
        return View(
            now=self.clock.now(),
            public_url=self._public_url,
            api_version=API_VERSION,
            pending_webhooks=self._pending_webhooks,
        )

    def _pending_webhooks(self, event_id: str) -> int:
        query = "select count(*) from deliveries where event = ? and state = 'pending'"
        return int(self._storage.rows(query, (event_id,))[0][0])

    def save_clock(self) -> None:
        """Keep the clock's setting for the next start."""
        self._storage.add(run={"clock": codec.encode(self.clock.setting).decode()})

    async def reset(self, seed: int | None) -> None:
        """Forget everything and begin a new run, or an earlier one again by its seed."""
        await self._end()
        await self._storage.erase()
        self._begin(Seed.fresh() if seed is None else Seed(seed))
        await self._storage.durable()

    async def _end(self) -> None:
        await self.timekeeper.close()
        await self.webhooks.close()

    async def _close_parts(self) -> None:
        await self._end()
        await self._storage.close()
        self._lock.release()

    async def close(self) -> None:
        """Stop listening, write what is left, close everything."""
        await self.http.close()
        await self._close_parts()


def _seed_of_run(storage: Storage, wanted: int | None) -> Seed:
    kept = storage.run_value("seed")
    if kept is None:
        return Seed.fresh() if wanted is None else Seed(wanted)
    if wanted is not None and wanted != int(kept):
        raise SeedMismatch(
            f"the data directory holds a run of seed {kept}, not {wanted}:"
            " name another directory, or reset this run"
        )
    return Seed(int(kept))


def _clock_setting(storage: Storage) -> ClockSetting:
    kept = storage.run_value("clock")
    return ClockSetting() if kept is None else msgspec.json.decode(kept, type=ClockSetting)
