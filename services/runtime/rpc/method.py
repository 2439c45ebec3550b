"""One method as it is served: the wrapped handler, and how its messages are read and written."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from grpc.aio import ServicerContext

# Quoted, since the class is generic to type checkers alone.
RpcHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = ServicerContext[Any, Any]
Respond = Callable[[Any, Context], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class ServedMethod:
    """What the network server and the in-process channel both serve.

    `serve` returns the response, or writes the messages of a stream to its context; it raises only
    what gRPC itself expects.
    """

    serve: Respond
    answers_with_stream: bool
    parse_request: Callable[[bytes], Any]
    serialize_response: Callable[[Any], bytes]

    def rpc_handler(self) -> RpcHandler:
        """The method as gRPC's server takes it."""
        make = (
            grpc.unary_stream_rpc_method_handler
            if self.answers_with_stream
            else grpc.unary_unary_rpc_method_handler
        )
        return make(
            self.serve,
            request_deserializer=self.parse_request,
            response_serializer=self.serialize_response,
        )
