"""What a servicer's methods look like, brought into the one shape that the middleware wraps."""

import inspect
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from services.runtime.rpc.method import Context, Respond

_SUBJECTS = ("merchant_id", "payment_id")


def unary_response(path: str, behaviour: Callable[..., Any] | None) -> Respond:
    if not inspect.iscoroutinefunction(behaviour):
        return _unimplemented(path, behaviour)

    async def respond(request: object, context: Context) -> object:
        response = await behaviour(request, context)
        # gRPC would answer with the text of the serializer's exception.
        if not isinstance(response, Message) and not context.code():
            raise TypeError(f"{path} returned {type(response).__name__}, not a message")
        return response

    return respond


def stream_response(path: str, behaviour: Callable[..., Any] | None) -> Respond:
    if inspect.iscoroutinefunction(behaviour):
        return behaviour
    if not inspect.isasyncgenfunction(behaviour):
        return _unimplemented(path, behaviour)

    async def respond(request: object, context: Context) -> None:
        # Closing runs the handler's `finally` at once when the caller has gone.
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return respond


def _unimplemented(path: str, behaviour: Callable[..., Any] | None) -> Respond:
    """What answers for a method that its servicer leaves to the generated base class."""
    if not getattr(behaviour, "__module__", "").endswith("_pb2_grpc"):
        raise TypeError(f"the handler of {path} must be `async def`")

    async def respond(_request: object, context: Context) -> object:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{path} is not implemented")

    return respond


def subjects_of(deserializer: Callable[[bytes], Any]) -> tuple[str, ...]:
    """Which of the ids that logs carry the method's request has."""
    descriptor = getattr(getattr(deserializer, "__self__", None), "DESCRIPTOR", None)
    fields = descriptor.fields_by_name if descriptor is not None else {}
    return tuple(name for name in _SUBJECTS if name in fields)


def forgiving_parser(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Read a malformed request as None, which is then refused; gRPC would log a traceback of it."""

    def parse(raw: bytes) -> object:
        try:
            return deserializer(raw)
        except DecodeError:
            return None

    return parse
