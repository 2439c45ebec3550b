"""Sends requests as the bytes they are, and judges what comes back."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Final

import httptools
import jsonschema_rs

from tests.fuzz.http_probes import HttpProbe
from tests.fuzz.probes import Expected
from tests.gateway.http.declared import assert_declared
from tests.gateway.http.stage import Answer

_ANSWER_SECONDS: Final = 60.0
_CHUNK_BYTES: Final = 65_536
_PROBLEM: Final = "application/problem+json"
# What is no refusal for good: a decline is an answer, and who comes at the same time comes again.
_TAKEN_ALL_THE_SAME: Final = frozenset({402, 409})


@dataclass
class _Received:
    """A response as it comes in, filled by the parser."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk

    def on_message_complete(self) -> None:
        self.is_whole = True


class HttpDoor:
    """One connection at a time, opened anew when the other side has closed it."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def judge(self, probe: HttpProbe) -> tuple[list[str], bool]:
        """What is wrong with the answer to a request, and whether it was refused for good."""
        try:
            answer = await asyncio.wait_for(self._ask(probe), _ANSWER_SECONDS)
        except TimeoutError:
            self.close()
            return [f"there was no answer within {_ANSWER_SECONDS:.0f} s"], False
        if answer is None:
            return ([] if not probe.is_http else ["the connection was closed instead"]), True
        is_refused = 400 <= answer.status < 500 and answer.status not in _TAKEN_ALL_THE_SAME
        return list(_problems(probe, answer)), is_refused

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _ask(self, probe: HttpProbe) -> Answer | None:
        """The answer; None when the connection was closed without one."""
        is_kept = self._streams is not None
        received = await self._exchange(probe)
        if received is None and is_kept and probe.is_http:
            # It was closed in the pause between two requests, as either side may.
            received = await self._exchange(probe)
        if received is None:
            return None
        text = received.body.decode("utf-8", "replace")
        is_json = "json" in received.headers.get("content-type", "")
        body = _parsed(text) if is_json else None
        return Answer(received.status, received.headers, body, text)

    async def _exchange(self, probe: HttpProbe) -> _Received | None:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        received = _Received()
        parser = httptools.HttpResponseParser(received)
        sending = asyncio.create_task(_send(writer, probe.wire))
        try:
            while not received.is_whole:
                chunk = await reader.read(_CHUNK_BYTES)
                if not chunk:
                    break
                parser.feed_data(chunk)
                received.status = parser.get_status_code()
                if probe.method == "HEAD":
                    break
            await sending
        except (ConnectionError, httptools.HttpParserError):
            pass  # What has arrived is judged; without any, the connection was closed.
        finally:
            sending.cancel()
        is_over = not received.is_whole or not parser.should_keep_alive()
        if is_over or not probe.is_http:
            self.close()
        return received if received.is_whole else None


async def _send(writer: asyncio.StreamWriter, wire: bytes) -> None:
    writer.write(wire)
    await writer.drain()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _problems(probe: HttpProbe, answer: Answer) -> list[str]:
    if answer.status >= 500:
        return [f"answered {answer.status}: {answer.text[:500]}"]
    if not probe.is_http:
        is_client_error = answer.status >= 400
        return [] if is_client_error else [f"answered {answer.status}"]
    found = []
    if answer.status >= 400:
        found += _malformed_problem(answer)
    elif probe.expected is Expected.REFUSED:
        found.append(f"taken with {answer.status}: {answer.text[:300]}")
    elif probe.expected is Expected.REMARKED and not _issues(answer):
        found.append(f"taken with {answer.status} and without an issue: {answer.text[:300]}")
    found += _undeclared(probe, answer)
    return found


def _issues(answer: Answer) -> Any:
    return isinstance(answer.body, dict) and answer.body.get("validation_issues")


def _malformed_problem(answer: Answer) -> list[str]:
    if answer.headers.get("content-type") != _PROBLEM or not isinstance(answer.body, dict):
        return [f"answered {answer.status} without a problem: {answer.text[:300]!r}"]
    body = answer.body
    is_whole = body.get("status") == answer.status and body.get("code") and body.get("request_id")
    return (
        [] if is_whole else [f"answered {answer.status} with half a problem: {answer.text[:300]}"]
    )


def _undeclared(probe: HttpProbe, answer: Answer) -> list[str]:
    """What /openapi.json does not say of this answer."""
    if answer.status == 405:
        return []
    try:
        assert_declared(probe.method, probe.target, answer)
    except (AssertionError, jsonschema_rs.ValidationError) as error:
        return [f"not as /openapi.json says: {str(error)[:500]}"]
    return []
