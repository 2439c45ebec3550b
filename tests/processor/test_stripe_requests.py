"""What the Stripe adapter sends: under which keys, with what left behind, in a form Stripe accepts.

stripe-mock is Stripe's own description of its API, run as a server: a request with a parameter that
is unknown, missing or of another type is refused by it, whatever our sandbox thinks.
"""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from sandbox.wire import Answer, HttpServer, Request
from tests.processor.conftest import Outside, behind_door, opened
from tests.processor.house import House, outcome
from tests.processor.processes import answering, free_port, running

_TOOLS = Path(__file__).parents[2] / ".tools" / "bin"
_PASSED_ON = ("authorization", "content-type", "idempotency-key", "stripe-version")


class Recorder:
    """Passes everything on to the sandbox, and keeps what it has seen."""

    def __init__(self, outside: Outside) -> None:
        self._client = httpx.AsyncClient(base_url=outside.url, timeout=30)
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = await replay(self._client, request)
        kept = ("content-type", "idempotent-replayed", "request-id")
        headers = {name: answer.headers[name] for name in kept if name in answer.headers}
        return Answer(answer.status_code, answer.content, headers)

    def to(self, path_end: str) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(path_end)]

    async def close(self) -> None:
        await self._client.aclose()


async def replay(client: httpx.AsyncClient, request: Request) -> httpx.Response:
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    url = f"{request.path}?{request.query}" if request.query else request.path
    return await client.request(request.method, url, headers=headers, content=request.body)


@pytest.fixture
async def recorder(outside: Outside) -> AsyncIterator[Recorder]:
    found = Recorder(outside)
    yield found
    await found.close()


@pytest.fixture
async def house(recorder: Recorder) -> AsyncIterator[House]:
    server = await HttpServer.listen(recorder, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.port}"
    async with behind_door([opened("stripe", url), opened("apple_pay", url)]) as stub:
        yield House(stub, "stripe")
    await server.close()


def form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


async def test_an_authorization_is_created_unconfirmed_and_then_confirmed_under_its_own_keys(
    house: House, recorder: Recorder
) -> None:
    attempt = house.attempt("authorize", metadata={"order": "7"})
    await house.send(attempt)
    create, confirm = recorder.requests
    assert create.path == "/v1/payment_intents"
    assert create.headers["idempotency-key"] == f"{attempt.id}:create"
    assert confirm.headers["idempotency-key"] == f"{attempt.id}:confirm"
    assert create.headers["stripe-version"] == confirm.headers["stripe-version"]
    sent = form(create)
    assert "confirm" not in sent
    assert sent["capture_method"] == "manual"
    assert (sent["amount"], sent["currency"]) == ("1250", "usd")
    assert sent["metadata[switchyard_attempt_id]"] == attempt.id
    assert sent["metadata[switchyard_payment_id]"] == attempt.payment_id
    assert sent["metadata[order]"] == "7"
    assert form(confirm)["return_url"] == "https://shop.test/back"


async def test_a_lookup_confirms_nothing_captures_nothing_and_returns_nothing(
    house: House, recorder: Recorder
) -> None:
    for operation in ("authorize", "capture", "void", "refund"):
        attempt = await house.prepared(operation)
        recorder.requests.clear()
        await house.lookup(attempt)
        moving = [r.path for r in recorder.requests if r.method == "POST"]
        assert moving == (["/v1/payment_intents"] if operation == "authorize" else [])
    assert not recorder.to("/confirm")


async def test_every_request_that_moves_money_has_the_attempts_key(
    house: House, recorder: Recorder
) -> None:
    for operation, step in (("capture", "capture"), ("void", "cancel"), ("refund", "refund")):
        attempt = await house.prepared(operation)
        recorder.requests.clear()
        await house.send(attempt)
        [request] = recorder.requests
        assert request.headers["idempotency-key"] == f"{attempt.id}:{step}"


async def test_the_merchants_metadata_gives_way_to_ours_and_to_stripes_limits(
    house: House, recorder: Recorder
) -> None:
    theirs = {f"key_{number:02}": "value" for number in range(50)}
    theirs |= {"switchyard_attempt_id": "forged", "a[b]": "nested", "empty": ""}
    attempt = house.attempt("authorize", metadata=theirs)
    assert outcome(await house.send(attempt)) == "SUCCEEDED"
    sent = {name: value for name, value in form(recorder.requests[0]).items() if "metadata" in name}
    assert len(sent) == 50
    assert sent["metadata[switchyard_attempt_id]"] == attempt.id
    assert not [name for name in sent if name.startswith("metadata[a") or "empty" in name]


async def test_a_one_time_token_becomes_a_payment_method_on_the_way(
    house: House, recorder: Recorder
) -> None:
    house.processor_id, house.method = "apple_pay", "apple_pay"
    result = await house.send(house.attempt("authorize", card="tok_applePay_visa"))
    assert outcome(result) == "SUCCEEDED"
    method, create, _ = recorder.requests
    assert method.path == "/v1/payment_methods"
    assert form(method)["card[token]"] == "tok_applePay_visa"
    assert form(create)["payment_method"].startswith("pm_")


async def test_stripes_own_mock_accepts_every_request(
    house: House, recorder: Recorder, stripe_mock: str
) -> None:
    for operation in ("authorize", "capture", "void", "refund"):
        attempt = await house.prepared(operation)
        assert outcome(await house.send(attempt)) == "SUCCEEDED"
        assert outcome(await house.lookup(attempt)) == "SUCCEEDED"
        attempt.key_expires_at.FromDatetime(attempt.created_at.ToDatetime())
        await house.lookup(attempt)
    await house.send(house.attempt("authorize", card="tok_visa", metadata={"order": "7"}))
    await house.events(page_size=3)
    await house.events(page_size=3, occurred_from=attempt.created_at)
    asked = {(request.method, _pattern(request.path)) for request in recorder.requests}
    assert asked == _EVERY_REQUEST
    async with httpx.AsyncClient(base_url=stripe_mock, timeout=30) as client:
        for request in recorder.requests:
            answer = await replay(client, request)
            assert answer.status_code == 200, (request.path, request.body, answer.text)


async def test_stripes_own_mock_refuses_what_stripe_would(stripe_mock: str) -> None:
    headers = {"authorization": "Bearer sk_test_x"}
    async with httpx.AsyncClient(base_url=stripe_mock, timeout=30, headers=headers) as client:
        for wrong in ({"amount": "1250"}, {"amount": "1", "currency": "usd", "colour": "red"}):
            answer = await client.post("/v1/payment_intents", data=wrong)
            assert answer.status_code == 400


_EVERY_REQUEST = {
    ("POST", "/v1/payment_methods"),
    ("POST", "/v1/payment_intents"),
    ("GET", "/v1/payment_intents"),
    ("GET", "/v1/payment_intents/ID"),
    ("POST", "/v1/payment_intents/ID/confirm"),
    ("POST", "/v1/payment_intents/ID/capture"),
    ("POST", "/v1/payment_intents/ID/cancel"),
    ("POST", "/v1/refunds"),
    ("GET", "/v1/refunds"),
    ("GET", "/v1/events"),
}


def _pattern(path: str) -> str:
    return "/".join("ID" if part.startswith("pi_") else part for part in path.split("/"))


@pytest.fixture
async def stripe_mock() -> AsyncIterator[str]:
    """Stripe's own mock, on a port of its own."""
    binary = shutil.which("stripe-mock", path=f"{_TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("stripe-mock is missing: CI installs it into .tools/bin")
        pytest.skip(
            "stripe-mock is missing: GOBIN=$PWD/.tools/bin go install"
            " github.com/stripe/stripe-mock@v0.203.0"
        )
    port = free_port()
    async with running([binary, "-http-port", str(port)]):
        await answering(port)
        yield f"http://127.0.0.1:{port}"
