"""The handler's end of an in-process call: the servicer context that grpc.aio would hand it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import grpc
from grpc.aio import AbortError, ServicerContext, UsageError

from services.runtime.rpc.in_process.exchange import Exchange, FinalStatus, Metadata

_KEY = re.compile(r"[0-9a-z_.-]+", re.ASCII)
_FINISHED = "RPC already finished."


class InProcessContext(ServicerContext[Any, Any]):
    """What a handler may ask and tell about the call that it answers."""

    def __init__(self, exchange: Exchange, serializer: Callable[[Any], bytes]) -> None:
        self._exchange = exchange
        self._serializer = serializer
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing_metadata: Metadata = ()
        self._abortion: AbortError | None = None

    def invocation_metadata(self) -> Any:
        """The caller's metadata: a tuple of pairs, as on the network."""
        return self._exchange.request_metadata

    def time_remaining(self) -> Any:
        """Seconds until the deadline; None without one, as on the network."""
        return self._exchange.time_remaining_seconds

    async def read(self) -> NoReturn:
        """Refuse: the one request there is was handed over already."""
        raise UsageError("this method takes one request, not a stream")

    async def write(self, message: Any) -> None:
        """Send one message of a stream."""
        self._raise_if_ended()
        raw = self._serializer(message)
        exchange = self._exchange
        if exchange.initial_metadata is None:
            exchange.send_headers(())
        if len(raw) > exchange.response_bytes_max:
            await exchange.break_off(too_large("CLIENT", len(raw), exchange.response_bytes_max))
        await exchange.put(raw)

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send the headers ahead of the first message."""
        self._raise_if_ended()
        if self._exchange.initial_metadata is not None:
            raise UsageError("Send initial metadata failed: already sent")
        self._exchange.send_headers(checked_metadata(initial_metadata))

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Set what goes with the final status."""
        self._trailing_metadata = checked_metadata(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """What is set to go with the final status."""
        return self._trailing_metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the code of the final status."""
        self._code = code

    def code(self) -> Any:
        """The code that was set; None if none was, as on the network."""
        return self._code

    def set_details(self, details: str) -> None:
        """Set the message of the final status."""
        self._details = details

    def details(self) -> str:
        """The message that was set."""
        return self._details

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """End the call with a status, and the handler with an exception."""
        if self._abortion is not None:
            raise UsageError("Abort already called!")
        self._abortion = AbortError("Locally aborted.")
        self._code = code
        self._details = details or self._details
        if trailing_metadata:
            self._trailing_metadata = checked_metadata(trailing_metadata)
        self._exchange.finish(self.final_status())
        raise self._abortion

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status that was made elsewhere."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def final_status(self) -> FinalStatus:
        """The status as it stands; the network sends no message with a success."""
        code = self._code or grpc.StatusCode.OK
        details = "" if code is grpc.StatusCode.OK else self._details
        return FinalStatus(code, details, self._trailing_metadata)

    def _raise_if_ended(self) -> None:
        """Stop a handler that goes on after its call has ended."""
        if self._abortion is not None:
            raise self._abortion
        if self._exchange.status is not None:
            raise UsageError(_FINISHED)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back with this context when the call has ended."""
        self._exchange.add_done_callback(partial(callback, self))

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._exchange.status is not None

    def cancelled(self) -> bool:
        """Whether the call is set to end as cancelled."""
        return self._code is grpc.StatusCode.CANCELLED

    def set_compression(self, compression: grpc.Compression) -> None:
        """Accept and ignore: nothing is compressed within a process."""

    def disable_next_message_compression(self) -> None:
        """Accept and ignore: nothing is compressed within a process."""

    def peer(self) -> str:
        """Who calls: this very process."""
        return "in-process"

    def peer_identities(self) -> Iterable[bytes] | None:
        """None: a process shows itself no certificate."""
        return None

    def peer_identity_key(self) -> str | None:
        """None: a process shows itself no certificate."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Empty: a process shows itself no certificate."""
        return {}


def too_large(side: str, size_bytes: int, max_bytes: int) -> FinalStatus:
    """The status of a message over the limit, in the network's own words."""
    return FinalStatus(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"{side}: Received message larger than max ({size_bytes} vs. {max_bytes})",
    )


def checked_metadata(metadata: Sequence[tuple[str, str | bytes]] | None) -> Metadata:
    """Metadata as the network would deliver it; what it could not carry is refused here."""
    return tuple(_checked(key, value) for key, value in metadata) if metadata else ()


def _checked(key: str, value: str | bytes) -> tuple[str, str | bytes]:
    if not _KEY.fullmatch(key):
        raise ValueError(f"metadata key {key!r} is not one that gRPC can send")
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(f"metadata {key!r} is binary and must be bytes")
        return key, value
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"the value of metadata {key!r} must be printable ASCII")
    return key, text
