"""gRPC: one registry of handlers, wrapped once, behind a network port and an in-process channel.

A service registers its servicer with a `Registry`; whoever calls it makes a stub from the channel
that `connect` or `connect_in_process` gives, and cannot tell which of the two it was. Reading
order: registry, method, middleware, status, in_process/, server, client.
"""

from services.runtime.rpc.client import (
    DEFAULT_TIMEOUT_SECONDS,
    ClientTls,
    connect,
    connect_in_process,
)
from services.runtime.rpc.deadline import begin_deadline
from services.runtime.rpc.errors import ChannelError
from services.runtime.rpc.middleware import Middleware
from services.runtime.rpc.registry import Registry
from services.runtime.rpc.server import GrpcServer, ServerLimits, ServerTls
from services.runtime.rpc.status import error_from_rpc, status_from_error, typed_errors

__all__ = [
    "DEFAULT_TIMEOUT_SECONDS",
    "ChannelError",
    "ClientTls",
    "GrpcServer",
    "Middleware",
    "Registry",
    "ServerLimits",
    "ServerTls",
    "begin_deadline",
    "connect",
    "connect_in_process",
    "error_from_rpc",
    "status_from_error",
    "typed_errors",
]
