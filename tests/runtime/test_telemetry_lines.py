"""Log lines that people and machines can read, and that never break what they tell of."""

import asyncio
import io
import logging
from collections.abc import Iterator
from contextvars import Context
from typing import Any, NoReturn

import orjson
import pytest
import structlog

from services.runtime.telemetry import (
    Tracing,
    bind_context,
    bound,
    bound_context,
    configure_logging,
    current_traceparent,
)

CARD = "4242 4242 4242 4242"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("payments", level="info", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_line_says_when_how_grave_what_and_where(stream: io.StringIO) -> None:
    structlog.get_logger().warning("breaker opened", processor="stripe", failures=5)
    (line,) = lines_of(stream)
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "breaker opened",
        "service": "payments",
        "processor": "stripe",
        "failures": 5,
    }


def test_line_carries_the_ids_bound_to_the_work(stream: io.StringIO) -> None:
    def work() -> None:
        bind_context(request_id="req_1", merchant_id="mer_1")
        bind_context(payment_id="pay_1", merchant_id=None)
        structlog.get_logger().info("captured")

    Context().run(work)
    structlog.get_logger().info("elsewhere")
    here, elsewhere = lines_of(stream)
    ids = ("request_id", "merchant_id", "payment_id")
    assert [here.get(name) for name in ids] == ["req_1", "mer_1", "pay_1"]
    assert not set(ids) & elsewhere.keys()


def test_words_bound_for_a_block_end_with_it() -> None:
    def work() -> None:
        bind_context(request_id="req_1")
        with bound_context(payment_id="pay_1"):
            assert dict(bound()) == {"request_id": "req_1", "payment_id": "pay_1"}
        assert dict(bound()) == {"request_id": "req_1"}

    Context().run(work)


async def test_task_started_by_the_work_keeps_its_words() -> None:
    async def child() -> str:
        bind_context(payment_id="pay_child")
        return bound()["request_id"]

    bind_context(request_id="req_1")
    assert await asyncio.create_task(child()) == "req_1"
    assert "payment_id" not in bound()


def test_line_within_a_span_names_its_trace(stream: io.StringIO) -> None:
    with Tracing("payments", sample_ratio=0.0).span("capture"):
        header = current_traceparent()
        structlog.get_logger().info("captured")
    (line,) = lines_of(stream)
    assert header == f"00-{line['trace_id']}-{line['span_id']}-00"


def test_level_below_the_setting_is_not_written(stream: io.StringIO) -> None:
    structlog.get_logger().debug("detail")
    logging.getLogger("library").debug("detail")
    assert stream.getvalue() == ""


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of debug, info, warning, error"):
        configure_logging("payments", level="loud")


def test_line_of_a_library_comes_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("asyncpg").error("lost %s", "connection")
    (line,) = lines_of(stream)
    assert (line["event"], line["level"]) == ("lost connection", "error")
    assert (line["logger"], line["service"]) == ("asyncpg", "payments")


def test_library_line_with_wrong_arguments_is_written_all_the_same(stream: io.StringIO) -> None:
    # pytest's own handler, beside ours, would raise.
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if type(h).__module__.startswith("services.")]
    logging.getLogger("library").error("lost %d", "connection")
    assert lines_of(stream)[0]["event"] == "lost %d"


@pytest.mark.parametrize(
    "words",
    [
        {"note": f"paid with {CARD}"},
        {"request": {"card": {"number": "4242424242424242", "cvc": "123"}}},
        {"lines": [f"a {CARD}", {"b": CARD}]},
        {"error": ValueError(f"bad card {CARD}")},
        {"cvc": "123"},
    ],
    ids=["text", "nested", "list", "object", "code"],
)
def test_card_data_is_masked_wherever_it_stands(
    stream: io.StringIO, words: dict[str, object]
) -> None:
    structlog.get_logger().error("refused", **words)
    written = stream.getvalue()
    assert "42424242" not in written.replace(" ", "")
    assert '"123"' not in written
    assert "[" in written


def test_card_number_in_an_event_or_traceback_is_masked(stream: io.StringIO) -> None:
    def fail() -> NoReturn:
        raise ValueError(f"bad card {CARD}")

    log = structlog.get_logger()
    try:
        fail()
    except ValueError:
        log.exception(f"refused {CARD}")
        logging.getLogger("library").exception("refused %s", CARD)
    ours, theirs = lines_of(stream)
    for line in (ours, theirs):
        assert "Traceback" in line["exception"]
        assert "[card number]" in line["exception"]
        assert line["event"] == "refused [card number]"
    assert "42424242" not in stream.getvalue().replace(" ", "")


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def test_value_that_cannot_be_rendered_loses_its_line_and_nothing_else(stream: io.StringIO) -> None:
    structlog.get_logger().info("captured", what=Unspeakable())
    (line,) = lines_of(stream)
    assert line["event"] == "log line could not be rendered"
    assert line["level"] == "error"


def test_values_of_any_type_are_rendered(stream: io.StringIO) -> None:
    structlog.get_logger().info("odd", number={1: 2}, kind=Tracing, raw=b"\xff")
    structlog.get_logger().info("huge", huge=2**80)
    line, huge = lines_of(stream)
    assert line["number"] == {"1": 2}
    assert "Tracing" in line["kind"]
    assert (huge["event"], huge["huge"]) == ("huge", str(2**80))


def test_stream_that_is_gone_loses_the_line_and_raises_nothing() -> None:
    closed = io.StringIO()
    configure_logging("payments", stream=closed)
    try:
        log = structlog.get_logger()
        log.info("before")
        closed.close()
        log.info("captured")
        logging.getLogger("library").warning("still here")
    finally:
        logging.getLogger().handlers.clear()
        structlog.reset_defaults()
