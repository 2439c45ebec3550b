"""Structured logs: one JSON object a line, each with the ids of the work it belongs to.

Logging must never be the thing that breaks a payment. So a line that cannot be rendered becomes a
line that says so, a stream that is gone is ignored, and nothing here waits for more than the write.
Lines of the standard library's loggers go the same way.
"""

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import structlog
from opentelemetry import trace

from services.kernel.redaction import redact_field, redact_text
from services.runtime.telemetry.bound import bound

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class LineStream(Protocol):
    """Where lines go: a text stream."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


def configure_logging(
    service: str, *, level: str = "info", stream: LineStream | None = None
) -> None:
    """Send the logs of this process as JSON lines to the stream (default: standard error).

    `service` names the process in each line; inside a call, the service that answers it does.
    """
    if level not in _LEVELS:
        raise ValueError(f"log level must be one of {', '.join(_LEVELS)}, not {level!r}")
    lines = _Lines(service, stream or sys.stderr)
    structlog.configure(
        processors=[lines.render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_names: lines,
        cache_logger_on_first_use=False,
    )
    # The libraries' own debug lines drown ours.
    library_level = max(_LEVELS[level], logging.INFO)
    logging.basicConfig(handlers=[_StandardHandler(lines)], level=library_level, force=True)


class _Lines:
    """Renders events and writes them; both halves of structlog's contract in one place."""

    def __init__(self, service: str, stream: LineStream) -> None:
        self._service = service
        self._stream = stream

    def render(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        """Make one line of an event."""
        try:
            return _encode(self._complete(level, event))
        except Exception as error:  # noqa: BLE001 -- a log line must not break what it tells of
            return _encode(
                {
                    "timestamp": _now(),
                    "level": "error",
                    "event": "log line could not be rendered",
                    "service": self._service,
                    "problem": type(error).__name__,
                }
            )

    def _complete(self, level: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        failure = event.pop("exc_info", None)
        if failure:
            event["exception"] = _traceback(failure)
        words = {"event": event.pop("event", ""), "service": self._service, **bound(), **event}
        line: dict[str, Any] = {
            "timestamp": _now(),
            "level": level,
            **{name: redact_field(name, value) for name, value in words.items()},
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = f"{span.trace_id:032x}"
            line["span_id"] = f"{span.span_id:016x}"
        return line

    def write(self, line: str) -> None:
        """Write one line; a stream that is closed or gone loses it."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = write


class _StandardHandler(logging.Handler):
    """Carries lines of the standard library's loggers into the same stream."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        event: dict[str, Any] = {"logger": record.name, "exc_info": record.exc_info}
        try:
            event["event"] = record.getMessage()
        except (TypeError, ValueError):
            event["event"] = str(record.msg)
        self._lines.write(self._lines.render(None, record.levelname.lower(), event))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _encode(line: Mapping[str, object]) -> str:
    try:
        return orjson.dumps(line, default=_described, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        # Integers over 64 bits and circles: every value that is not text becomes text.
        texts = {k: v if isinstance(v, str) else _described(v) for k, v in line.items()}
        return orjson.dumps(texts).decode()


def _described(value: object) -> str:
    # Redaction looks into plain values only, so what an object says of itself is masked here.
    return redact_text(repr(value))


def _traceback(failure: object) -> str:
    if isinstance(failure, BaseException):
        return "".join(traceback.format_exception(failure))
    if isinstance(failure, tuple) and isinstance(failure[1], BaseException):
        return "".join(traceback.format_exception(failure[1]))
    return traceback.format_exc()
