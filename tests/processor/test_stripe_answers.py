"""Answers that Stripe would never give, or might one day: none is taken for a success."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog
from google.protobuf.json_format import MessageToJson

from sandbox.wire import HttpServer
from services.processor.domain.raw import MASK
from tests.processor.conftest import behind_door, opened
from tests.processor.house import House, error_code, outcome
from tests.processor.impostor import HOLD, Impostor, intent, refund

Body = Callable[[str], Any]


@pytest.fixture
async def impostor() -> AsyncIterator[Impostor]:
    found = Impostor()
    server = await HttpServer.listen(found, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.port}"
    yield found
    await server.close()


@pytest.fixture
async def house(impostor: Impostor) -> AsyncIterator[House]:
    async with behind_door([opened("stripe", impostor.url)]) as stub:
        yield House(stub, "stripe")


async def ask(house: House, impostor: Impostor, operation: str, content: Body | bytes) -> Any:
    """Send an attempt and have it answered so."""
    hold = "" if operation == "authorize" else HOLD
    attempt = house.attempt(operation, hold=hold)
    impostor.attempt_id = attempt.id
    impostor.content = (
        content if isinstance(content, bytes) else json.dumps(content(attempt.id)).encode()
    )
    with structlog.testing.capture_logs() as logs:
        result = await house.send(attempt)
    return result, [line for line in logs if line["event"] == "processor answered"]


NONSENSE: list[tuple[int, bytes]] = [
    (200, b""),
    (200, b"{"),
    (200, b"null"),
    (200, b"[]"),
    (200, b"17"),
    (200, b'"requires_capture"'),
    (200, b"{}"),
    (200, b"\xff\xfe\x00"),
    (200, b"<html>ok</html>"),
    (200, b"[" * 50_000),
    (200, b'{"object": "payment_intent"}'),
    (200, b'{"object": {"object": "payment_intent"}}'),
    (200, b'{"object": "charge", "id": "ch_1", "amount": 1250, "currency": "usd"}'),
    (200, b'{"error": {"type": "card_error", "code": "card_declined"}}'),
    (204, b""),
    (301, b"moved"),
    (400, b""),
    (400, b"<html>bad</html>"),
    (400, b'{"error": "no"}'),
    (400, b'{"error": {"type": 7}}'),
    (402, b"payment required"),
    (404, b"<html>not found</html>"),
    (418, b'{"error": {"type": "teapot"}}'),
    (500, b""),
    (502, b"<html>bad gateway</html>"),
    (503, b'{"error": {"type": "api_error"}}'),
]


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
@pytest.mark.parametrize(("status", "content"), NONSENSE)
async def test_nonsense_is_neither_success_nor_failure(
    house: House, impostor: Impostor, operation: str, status: int, content: bytes
) -> None:
    impostor.status = status
    result, [line] = await ask(house, impostor, operation, content)
    assert (outcome(result), result.success) == ("UNKNOWN", False)
    assert not result.retryable
    assert line["log_level"] == "error"
    MessageToJson(result)


AUTHORIZED = {"status": "requires_capture", "amount_capturable": 1250}
MISFITS: list[tuple[str, str, dict[str, Any]]] = [
    ("authorize", "another amount", AUTHORIZED | {"amount": 1251, "amount_capturable": 1251}),
    ("authorize", "part of another", AUTHORIZED | {"amount": 2000}),
    ("authorize", "a part of it", AUTHORIZED | {"amount_capturable": 1000}),
    ("authorize", "nothing held", AUTHORIZED | {"amount_capturable": 0}),
    ("authorize", "another currency", AUTHORIZED | {"currency": "eur"}),
    ("authorize", "no such currency", AUTHORIZED | {"currency": "zzz"}),
    ("authorize", "no currency", AUTHORIZED | {"currency": None}),
    ("authorize", "a text for amount", AUTHORIZED | {"amount": "1250"}),
    ("authorize", "a fraction", AUTHORIZED | {"amount": 1250.5}),
    ("authorize", "truth for amount", AUTHORIZED | {"amount_capturable": True}),
    ("authorize", "less than nothing", AUTHORIZED | {"amount": -1250}),
    ("authorize", "beyond 64 bits", AUTHORIZED | {"amount": 10**400}),
    ("authorize", "not a number", AUTHORIZED | {"amount": float("nan")}),
    ("authorize", "another intent", AUTHORIZED | {"id": "pi_2"}),
    ("authorize", "a path for an id", AUTHORIZED | {"id": "pi_1/../../v1/refunds"}),
    ("authorize", "no id", AUTHORIZED | {"id": None}),
    ("authorize", "another attempt", AUTHORIZED | {"metadata": {"switchyard_attempt_id": "att_2"}}),
    ("authorize", "no attempt", AUTHORIZED | {"metadata": {}}),
    ("authorize", "captured at once", {"status": "succeeded", "capture_method": "automatic"}),
    ("authorize", "a new state", {"status": "requires_blessing"}),
    ("authorize", "no state", {"status": None}),
    ("authorize", "half a surrogate", {"status": "\ud800"}),
    ("authorize", "no page", {"status": "requires_action", "next_action": None}),
    (
        "authorize",
        "a page that is a script",
        {
            "status": "requires_action",
            "next_action": {"redirect_to_url": {"url": "javascript:alert(1)"}},
        },
    ),
    ("capture", "another amount", {"status": "succeeded", "amount_received": 1249}),
    ("capture", "nothing", {"status": "succeeded"}),
    ("capture", "another intent", {"status": "succeeded", "amount_received": 1250, "id": "pi_2"}),
    ("capture", "a new state", {"status": "captured", "amount_received": 1250}),
    ("void", "another amount", {"status": "canceled", "amount": 1}),
    ("void", "another intent", {"status": "canceled", "id": "pi_2"}),
    ("void", "a new state", {"status": "voided"}),
    ("refund", "another amount", {"amount": 1251}),
    ("refund", "another currency", {"currency": "jpy"}),
    ("refund", "another intent", {"payment_intent": "pi_2"}),
    ("refund", "no intent", {"payment_intent": None}),
    ("refund", "another attempt", {"metadata": {"switchyard_attempt_id": "att_2"}}),
    ("refund", "a new state", {"status": "returned"}),
    ("refund", "no id", {"id": 7}),
]


@pytest.mark.parametrize(
    ("operation", "changes"),
    [(operation, changes) for operation, _, changes in MISFITS],
    ids=[f"{operation}: {name}" for operation, name, _ in MISFITS],
)
async def test_an_answer_that_does_not_fit_is_an_anomaly_and_no_success(
    house: House, impostor: Impostor, operation: str, changes: dict[str, Any]
) -> None:
    make = refund if operation == "refund" else intent
    result, [line] = await ask(house, impostor, operation, lambda a: make(a, **changes))
    assert (outcome(result), result.success) == ("UNKNOWN", False)
    assert result.anomaly
    assert result.amount_processed.amount_minor == 0
    assert line["log_level"] == "error"
    assert line["anomaly"] == result.anomaly
    assert result.raw, "the answer is kept for explaining"
    MessageToJson(result)


async def test_the_answers_that_the_misfits_are_made_of_do_fit(
    house: House, impostor: Impostor
) -> None:
    fitting: list[tuple[str, Body]] = [
        ("authorize", lambda a: intent(a, **AUTHORIZED)),
        ("capture", lambda a: intent(a, status="succeeded", amount_received=1250)),
        ("void", lambda a: intent(a, status="canceled")),
        ("refund", refund),
    ]
    for operation, body in fitting:
        result, _ = await ask(house, impostor, operation, body)
        assert outcome(result) == "SUCCEEDED"


async def test_a_payment_that_is_processing_is_pending(house: House, impostor: Impostor) -> None:
    result, _ = await ask(house, impostor, "authorize", lambda a: intent(a, status="processing"))
    assert (outcome(result), result.success) == ("PENDING", False)


async def test_a_decline_of_another_intent_says_nothing_of_this_one(
    house: House, impostor: Impostor
) -> None:
    impostor.status = 402
    error = {"type": "card_error", "code": "card_declined"}
    result, _ = await ask(
        house,
        impostor,
        "authorize",
        lambda a: {"error": error | {"payment_intent": intent(a, id="pi_2")}},
    )
    assert outcome(result) == "UNKNOWN"
    assert result.anomaly


@pytest.mark.parametrize(
    ("code", "decline_code", "expected"),
    [
        ("card_declined", "lost_card", "DECLINED"),
        ("card_declined", "a_reason_of_tomorrow", "DECLINED"),
        ("card_declined", "insufficient_funds", "INSUFFICIENT_FUNDS"),
        ("card_declined", "try_again_later", "PROCESSING_ERROR"),
        ("card_declined", "authentication_required", "AUTHENTICATION_REQUIRED"),
        ("expired_card", None, "EXPIRED_CARD"),
        ("incorrect_number", None, "INVALID_CARD"),
        ("a_code_of_tomorrow", None, "DECLINED"),
        (["not", "a", "word"], {"nor": "this"}, "DECLINED"),
    ],
)
async def test_every_decline_has_a_word_and_the_reason_stays(
    house: House, impostor: Impostor, code: Any, decline_code: Any, expected: str
) -> None:
    impostor.status = 402
    error = {"type": "card_error", "code": code, "decline_code": decline_code}
    result, [line] = await ask(house, impostor, "authorize", lambda _: {"error": error})
    assert (outcome(result), error_code(result)) == ("FAILED", expected)
    native = decline_code or code
    assert result.decline_code == (native if isinstance(native, str) else "")
    assert line["log_level"] == "warning"


@pytest.mark.parametrize(
    "status", [429, 409, 500, 503], ids=["busy", "in flight", "broken", "away"]
)
async def test_one_call_is_one_request_whatever_is_answered(
    house: House, impostor: Impostor, status: int
) -> None:
    impostor.status = status
    impostor.headers["Stripe-Should-Retry"] = "true"
    await ask(house, impostor, "capture", lambda _: {"error": {"type": "api_error"}})
    assert impostor.deciding == [f"/v1/payment_intents/{HOLD}/capture"]


async def test_no_secret_and_no_card_number_is_kept_of_an_answer(
    house: House, impostor: Impostor
) -> None:
    result, lines = await ask(
        house,
        impostor,
        "authorize",
        lambda a: intent(
            a,
            status="requires_action",
            client_secret="pi_1_secret_hush",  # noqa: S106 -- a secret to be looked for
            description="card 4242 4242 4242 4242",
            next_action={
                "type": "redirect_to_url",
                "redirect_to_url": {"url": "https://bank.test/?client_secret=hush"},
            },
        ),
    )
    assert result.next_action.redirect.redirect_url == "https://bank.test/?client_secret=hush"
    kept = MessageToJson(result.raw) + repr(lines)
    assert "hush" not in kept
    assert "4242 4242" not in kept
    assert MASK in kept


async def test_an_answer_without_end_is_not_read_to_the_end(
    house: House, impostor: Impostor
) -> None:
    result, _ = await ask(house, impostor, "capture", b'{"x":"' + b"a" * (5 * 1024 * 1024))
    assert outcome(result) == "UNKNOWN"
    assert "too long" in result.anomaly
