"""The id and the trace of a caller go through every call on both channels, and end with it."""

import pytest
from grpc.aio import AioRpcError
from opentelemetry import trace
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, GetBalanceResponse

from services.kernel.errors import NotFound
from services.runtime.telemetry import bind_context, bound, current_traceparent
from tests.runtime.rpc.house import LEDGER, Context, House, Kind, answer_to, balance_of, open_house

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"


async def tell_request_id(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
    return balance_of(bound()["request_id"])


async def tell_trace(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
    return balance_of(current_traceparent() or "none")


async def test_request_id_of_the_caller_is_kept(house: House) -> None:
    house.ledger.answer = tell_request_id
    assert await answer_to(house, x_request_id="req_from-outside") == "req_from-outside"
    assert house.call_lines()[-1]["request_id"] == "req_from-outside"


async def test_call_without_a_request_id_is_given_one(house: House) -> None:
    house.ledger.answer = tell_request_id
    first, second = await answer_to(house), await answer_to(house)
    assert first.startswith("req_")
    assert first != second


@pytest.mark.parametrize("shown", ["x" * 101, "has spaces", '{"json":1}'])
async def test_request_id_that_could_forge_a_log_is_replaced(house: House, shown: str) -> None:
    house.ledger.answer = tell_request_id
    assert (await answer_to(house, x_request_id=shown)).startswith("req_")


async def test_request_id_and_trace_go_on_to_the_next_hop(house: House) -> None:
    seen: list[tuple[str, str | None]] = []

    async def hop(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        seen.append((bound()["request_id"], current_traceparent()))
        if request.account != "last":
            await house.stub.GetBalance(GetBalanceRequest(account="last"))
        return GetBalanceResponse()

    house.ledger.answer = hop
    await answer_to(house, x_request_id="req_1", traceparent=UNSAMPLED)
    (first_id, first_trace), (second_id, second_trace) = seen
    assert first_id == second_id == "req_1"
    assert first_trace == second_trace == UNSAMPLED, "nothing is added to what is not recorded"


async def test_words_bound_by_one_call_are_not_in_the_next(house: House) -> None:
    async def bind(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        before = bound().get("payment_id", "nothing")
        bind_context(payment_id="pay_1")
        return balance_of(before)

    house.ledger.answer = bind
    assert [await answer_to(house), await answer_to(house)] == ["nothing", "nothing"]
    assert [line["payment_id"] for line in house.call_lines()] == ["pay_1", "pay_1"]


async def test_words_bound_where_the_server_was_started_do_not_reach_its_calls(kind: Kind) -> None:
    bind_context(payment_id="pay_of-the-starter")
    async with open_house(kind) as house:
        await answer_to(house)
        (line,) = house.call_lines()
    assert "payment_id" not in line


async def test_sampled_parent_makes_a_span_and_a_child_of_it(house: House) -> None:
    async def work(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        with house.telemetry.tracing.span("post", {"entry": "1"}):
            return GetBalanceResponse()

    house.ledger.answer = work
    await answer_to(house, traceparent=SAMPLED, x_request_id="req_1")
    child, served = house.spans()
    assert (served.name, served.kind) == (f"{LEDGER}/GetBalance", trace.SpanKind.SERVER)
    assert served.attributes == {"request_id": "req_1"}
    assert served.parent is not None
    assert f"{served.parent.span_id:016x}" == "b7ad6b7169203331"
    assert child.name == "post"
    assert child.parent is not None
    assert child.parent.span_id == served.context.span_id
    assert f"{child.context.trace_id:032x}" == TRACE_ID


async def test_unsampled_parent_makes_no_span_and_keeps_its_trace_id(house: House) -> None:
    house.ledger.answer = tell_trace
    header = await answer_to(house, traceparent=UNSAMPLED)
    assert house.spans() == ()
    assert header.split("-")[1] == TRACE_ID
    assert header.endswith("-00")
    assert house.call_lines()[-1]["trace_id"] == TRACE_ID


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE_ID}-b7ad6b7169203331-01"],
)
async def test_traceparent_that_is_none_begins_a_trace(house: House, header: str) -> None:
    house.ledger.answer = tell_trace
    begun = await answer_to(house, traceparent=header)
    assert begun.startswith("00-")
    assert TRACE_ID not in begun
    assert "0" * 32 not in begun


async def test_everything_is_sampled_when_the_ratio_says_so(kind: Kind) -> None:
    async with open_house(kind, sample_ratio=1.0) as house:
        await answer_to(house)
        (span,) = house.spans()
        assert span.status.is_ok or span.status.is_unset


async def test_failed_call_is_marked_on_its_span(kind: Kind) -> None:
    async def fail(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise NotFound("no such account")

    async with open_house(kind, sample_ratio=1.0) as house:
        house.ledger.answer = fail
        with pytest.raises(AioRpcError):
            await answer_to(house)
        (span,) = house.spans()
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.status.description == "NOT_FOUND"
