"""All that a webhook meets: a sandbox that sends it, the gateway, every service, the ledger.

The sandbox has two accounts, each with an endpoint and a secret of its own, as Stripe has them.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from gateway.server import serve
from oracle import Bounds, Report, consult, read_sandbox
from sandbox.server import Options, Sandbox
from services.kernel.ids import WebhookEventId
from services.runtime.database import Record
from services.runtime.settings import load_settings
from services.system import open_system
from tests.conftest import DatabaseUrls
from tests.gateway.http.stage import GatewayClock, JsonObject, Shop, Stage
from tests.webhooks.conftest import eventually
from tests.webhooks.door import Outside, visiting
from tests.webhooks.letters import Letter, letter

Booking = tuple[str, dict[str, int]]

KEYS: Final = {"stripe": "sk_test_first", "stripe_eu": "sk_test_second"}
_NOWHERE: Final = "http://127.0.0.1:9/"
_PATH: Final = "/api/v1/webhooks/stripe"
# A payment of 100.00, of which the platform earns 2.9 % and 0.30.
CAPTURE: Final[Booking] = ("capture", {"clearing": -10_000, "payable": 9_680, "fees": 320})

# What is left to be done is done, and nothing waits for its time.
_AT_REST: Final = Bounds(work=timedelta(0))


@dataclass(frozen=True)
class Account:
    """One account at the sandbox: what it is asked, and the secret that signs what it tells."""

    outside: Outside
    endpoint_id: str
    secret: str


@dataclass
class Platform:
    """Where merchants are paid, and processors tell what became of it."""

    stage: Stage
    accounts: Mapping[str, Account]
    urls: DatabaseUrls
    folder: Path

    @property
    def outside(self) -> Outside:
        """The first account's side of things."""
        return self.accounts["stripe"].outside

    async def post(self, sent: Letter) -> httpx.Response:
        """Deliver something that the sandbox did not send."""
        headers = {"stripe-signature": sent.header} if sent.header else {}
        return await self.stage.http.post(_PATH, content=sent.body, headers=headers)

    async def tell(
        self, event: Mapping[str, Any], *, account: str = "stripe", times: int = 1
    ) -> Sequence[httpx.Response]:
        """Deliver an event in an account's name, so often and all at once."""
        sent = letter(event, secret=self.accounts[account].secret)
        return await asyncio.gather(*(self.post(sent) for _ in range(times)))

    async def hold_id(self, payment: JsonObject) -> str:
        """The payment intent at the sandbox behind a payment."""
        (row,) = await self.rows(
            "select a.result_reference from payments.attempts a join payments.payments p"
            " on p.id = a.payment_id where p.idempotency_key = $1 and a.operation = 'authorize'",
            payment["idempotency_key"],
        )
        return str(row["result_reference"])

    async def at_processor(self, payment: JsonObject, act: str, **form: Any) -> JsonObject:
        """What somebody does with a payment's intent in the processor's own dashboard."""
        path = f"payment_intents/{await self.hold_id(payment)}/{act}"
        return _body(await self.outside.api.post(path, data=form))

    async def disputed(self, payment: JsonObject, **order: Any) -> str:
        """The customer's bank opens a dispute; its name at the processor."""
        order = {"payment_intent": await self.hold_id(payment), **order}
        return str(_body(await self.outside.controls.post("disputes", json=order))["id"])

    async def decided(self, object_id: str, verdict: str) -> None:
        """A bank decides about a dispute, or sends a refund back."""
        kind = "refunds" if object_id.startswith("re_") else "disputes"
        _body(await self.outside.controls.post(f"{kind}/{object_id}/{verdict}", json={}))

    async def events_of(self, *types: str) -> list[JsonObject]:
        """The first account's events of these types, newest first."""
        params: dict[str, Any] = {"limit": 100, "types[]": types}
        found: list[JsonObject] = _body(await self.outside.api.get("events", params=params))["data"]
        return found

    async def until(self, shop: Shop, payment: JsonObject, **expected: object) -> JsonObject:
        """The payment, once it shows this."""

        async def reached() -> JsonObject | None:
            shown = (await shop.get(f"/payments/{payment['id']}")).body
            is_so = all(shown[name] == value for name, value in expected.items())
            return shown if is_so else None

        return await eventually(reached)

    async def until_event(self, webhook_event_id: str, state: str) -> Record:
        """The stored event, once it is in this state."""

        async def reached() -> Record | None:
            (row,) = await self.rows(
                "select * from webhooks.webhook_events where id = $1",
                WebhookEventId.parse(webhook_event_id).hex,
            )
            return row if row["state"] == state else None

        return await eventually(reached)

    async def settled(self) -> None:
        """Until every event that there is at the first account has come, and is done with."""
        told = await self.outside.event_ids()

        async def are_settled() -> bool:
            rows = await self.rows(
                "select stripe_event_id from webhooks.webhook_events where processed"
            )
            return told <= {row["stripe_event_id"] for row in rows}

        await eventually(are_settled)

    async def booked(self, shop: Shop, payment: JsonObject) -> list[Booking]:
        """What the ledger has of a payment: by what was booked, what each account gained.

        Accounts go by their last word; whose they are is checked.
        """

        async def are_posted() -> bool:
            shown = (await shop.get(f"/payments/{payment['id']}")).body
            return shown["posting"] in ("none", "posted")

        await eventually(are_posted)
        rows = await self.rows(
            "select t.idempotency_key, e.account, e.amount from ledger.ledger_transactions t"
            " join ledger.ledger_entries e on e.transaction_id = t.id where t.reference_id = $1",
            payment["id"],
        )
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            whose, _, name = row["account"].rpartition(":")
            assert whose in ("processor:stripe", f"merchant:{shop.merchant_id}", "platform")
            found.setdefault(row["idempotency_key"], {})[name] = row["amount"]
        assert all(sum(legs.values()) == 0 for legs in found.values())
        return sorted(
            ((key.partition(":")[0], legs) for key, legs in found.items()),
            key=lambda booking: (booking[0], sorted(booking[1].items())),
        )

    async def rows(self, statement: str, *values: object) -> list[Record]:
        async with self.stage.system.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def report(self) -> Report:
        """What the oracle finds, once it finds nothing; else what it still finds in the end."""
        owner = await asyncpg.connect(self.urls.owner)
        ledger = LedgerServiceStub(self.stage.system.channel)
        try:
            for _ in range(40):
                record = await read_sandbox(self.outside.url, KEYS)
                report = await consult(owner, record, ledger=ledger, bounds=_AT_REST)
                if report.is_clean:
                    break
                await asyncio.sleep(0.5)
        finally:
            await owner.close()
        return report


@asynccontextmanager
async def open_platform(urls: DatabaseUrls, folder: Path, **given: Any) -> AsyncIterator[Platform]:
    """Everything, in this process; each account's events come to the gateway from here on."""
    async with AsyncExitStack() as stack:
        sandbox = await Sandbox.start(Options(data=folder / "sandbox", port=0, seed=17))
        stack.push_async_callback(sandbox.close)
        url = f"http://127.0.0.1:{sandbox.http.port}"
        accounts = {
            name: await _account(await stack.enter_async_context(visiting(url, key)))
            for name, key in KEYS.items()
        }
        settings = load_settings(
            database_url=urls.application,
            switchyard_home=folder,
            processors_file=_processors_file(folder, accounts),
            http_port=0,
            api_base_url="https://pay.example",
            # What was delivered is to be enough, unless a test is about what was not.
            **{"webhook_comparison_seconds": 3_600, "webhook_grace_seconds": 86_400, **given},
        )
        system = await stack.enter_async_context(open_system(settings))
        clock = GatewayClock()
        server = await serve(system.channel, settings, system.telemetry, clock=clock)
        stack.push_async_callback(server.stop, drain_seconds=5)
        limits = httpx.Limits(max_connections=200)
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits)
        )
        for account in accounts.values():
            hook = {"url": f"{server.url}{_PATH}"}
            path = f"webhook_endpoints/{account.endpoint_id}"
            (await account.outside.api.post(path, data=hook)).raise_for_status()
        yield Platform(Stage(system, server, http, clock), accounts, urls, folder)


async def _account(outside: Outside) -> Account:
    endpoint = {"url": _NOWHERE, "enabled_events[]": "*"}
    made = (await outside.api.post("webhook_endpoints", data=endpoint)).json()
    return Account(outside, made["id"], made["secret"])


def _processors_file(folder: Path, accounts: Mapping[str, Account]) -> Path:
    tables = []
    for name, account in accounts.items():
        key, secret = folder / f"{name}.key", folder / f"{name}.secret"
        key.write_text(KEYS[name])
        secret.write_text(account.secret)
        options = {
            "api_key_file": str(key),
            "base_url": account.outside.url,
            "webhook_secret_file": str(secret),
        }
        said = ", ".join(f"{option} = {json.dumps(value)}" for option, value in options.items())
        tables.append(f'[[processors]]\nid = "{name}"\nadapter = "stripe"\noptions = {{ {said} }}')
    file = folder / "processors.toml"
    file.write_text("\n".join(tables))
    return file


def _body(answer: httpx.Response) -> JsonObject:
    assert answer.status_code == 200, answer.text
    body: JsonObject = answer.json()
    return body


def event_about(subject: Mapping[str, Any], event_type: str, **more: Any) -> JsonObject:
    """An event as the sandbox would have made it, of one that it did not."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_760_000_000,
        "type": event_type,
        "data": {"object": subject},
        **more,
    }
