"""What is told of every call on both channels: its metrics, and its one line."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, GetBalanceResponse
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from payments.orchestrator.v1.orchestrator_service_pb2 import CapturePaymentRequest

from services.kernel.errors import NotFound
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import configure_logging
from tests.runtime.rpc.house import LEDGER, Context, House, Kind, answer_to, health, open_house


async def test_health_check_needs_no_deadline_no_token_and_makes_no_span(kind: Kind) -> None:
    async with open_house(kind, sample_ratio=1.0) as house:
        assert await health(house.bare_channel, LEDGER) == "SERVING"
        assert house.spans() == ()
        assert house.call_lines() == []
        assert house.calls_counted("OK", "Check", "grpc.health.v1.Health") == 1


async def test_calls_are_counted_by_code_and_timed(house: House) -> None:
    async def fail(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise NotFound("no such account")

    await answer_to(house)
    house.ledger.answer = fail
    with pytest.raises(AioRpcError):
        await answer_to(house)
    assert (house.calls_counted("OK"), house.calls_counted("NOT_FOUND")) == (1, 1)
    labels = {"service": LEDGER, "method": "GetBalance"}
    sample = house.telemetry.registry.get_sample_value
    assert sample("rpc_duration_seconds_count", labels) == 2


async def test_method_nobody_serves_adds_no_label(house: House) -> None:
    with pytest.raises(AioRpcError):
        await house.channel.unary_unary("/made.Up/Name", bytes, bytes)(b"")
    labels = [s.labels for m in house.telemetry.registry.collect() for s in m.samples]
    assert all(label.get("service") != "made.Up" for label in labels)


@pytest.mark.parametrize(
    ("error", "level"),
    [(None, "debug"), (NotFound("no such account"), "info"), (KeyError("bug"), "error")],
)
async def test_call_is_one_line_and_the_worse_the_louder(
    house: House, error: Exception | None, level: str
) -> None:
    async def work(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        if error is not None:
            raise error
        return GetBalanceResponse()

    house.ledger.answer = work
    await asyncio.wait([asyncio.ensure_future(answer_to(house))])
    (line,) = house.call_lines()
    assert line["level"] == level
    assert (line["service"], line["method"]) == (LEDGER, "GetBalance")
    assert line["duration_ms"] > 0
    assert len(line["trace_id"]) == 32
    assert len(line["span_id"]) == 16


async def named(merchant_id: str, payment_id: str, **headers: str) -> tuple[Any, Any]:
    """The log line and the span of a call whose request names these ids."""

    async def answer(request: CapturePaymentRequest, _: Context) -> CapturePaymentRequest:
        return request

    handler = grpc.unary_unary_rpc_method_handler(
        answer, CapturePaymentRequest.FromString, CapturePaymentRequest.SerializeToString
    )
    # A server's methods are fixed once it has started: this one is reached in process alone.
    async with open_house("in-process", sample_ratio=1.0) as house:
        house.registry.add_registered_method_handlers("a.B", {"Capture": handler})
        call = house.channel.unary_unary(
            "/a.B/Capture",
            CapturePaymentRequest.SerializeToString,
            CapturePaymentRequest.FromString,
        )
        request = CapturePaymentRequest(merchant_id=merchant_id, payment_id=payment_id)
        await call(request, metadata=tuple(headers.items()))
        (line,), (span,) = house.call_lines(), house.spans()
        return line, span


async def test_ids_that_a_request_names_are_in_its_log_line_and_span() -> None:
    line, span = await named("mer_1", f"pay_{'a' * 32}")
    assert (line["merchant_id"], line["payment_id"]) == ("mer_1", f"pay_{'a' * 32}")
    assert span.attributes["merchant_id"] == "mer_1"
    assert span.attributes["payment_id"] == line["payment_id"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("p" * 500, "p" * 80),
        ("pay\n\u2028<b>\U0001f600", "pay???b??"),
        ("4242 4242 4242 4242", "[card number]"),
        ("x" * 70 + "4242424242424242", "x" * 70 + "[card numb"),
        ("x" * 66 + " 4242424242424242", "x" * 66 + " [card number]"),
    ],
)
async def test_what_is_sent_for_an_id_is_made_short_and_harmless(sent: str, shown: str) -> None:
    line, span = await named(sent, sent)
    assert line["payment_id"] == line["merchant_id"] == shown
    assert span.attributes["payment_id"] == span.attributes["merchant_id"] == shown


async def test_card_number_that_is_sent_for_a_request_id_is_nobody_s_id() -> None:
    line, span = await named("mer_1", "pay_1", **{"x-request-id": "4242424242424242"})
    assert line["request_id"] == span.attributes["request_id"]
    assert line["request_id"].startswith("req_")


async def test_success_is_not_worth_a_line_at_level_info(house: House) -> None:
    configure_logging("house", level="info", stream=house.logs)
    registry = Registry(Middleware(house.telemetry))
    registry.register(add_LedgerServiceServicer_to_server, house.ledger)
    async with connect_in_process(registry) as channel:
        await LedgerServiceStub(channel).GetBalance(GetBalanceRequest())
        assert house.call_lines() == []
