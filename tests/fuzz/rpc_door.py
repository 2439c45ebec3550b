"""Calls methods with the bytes of a message as they are, and judges how each ends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc.aio import AioRpcError, Channel
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.fuzz.probes import Expected
from tests.fuzz.rpc_probes import RpcProbe, forged
from tests.fuzz.world import World

_OWN: Final = "payments."
_MESSAGES_MAX: Final = 3
_WATCHED_SECONDS: Final = 1.0
_BYTES_MAX: Final = 64 * 1024 * 1024
# What the platform is to blame for; nothing here is down, and nobody waits for want of room.
_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.CANCELLED,
    }
)


@asynccontextmanager
async def rpc_channel(world: World) -> AsyncIterator[Channel]:
    """A channel that adds nothing to a call."""
    options = (
        ("grpc.max_receive_message_length", _BYTES_MAX),
        ("grpc.max_send_message_length", _BYTES_MAX),
    )
    async with grpc.aio.insecure_channel(world.grpc_address, options=options) as channel:
        yield channel


async def served(channel: Channel) -> Sequence[MethodDescriptor]:
    """The methods of the platform's services, as the server's reflection tells."""
    stub: Any = ServerReflectionStub(cast("grpc.Channel", channel))  # its types know no aio
    (listed,) = await _reflected(stub, [ServerReflectionRequest(list_services="")])
    names = [each.name for each in listed.list_services_response.service]
    own = sorted(name for name in names if name.startswith(_OWN))
    asked = [ServerReflectionRequest(file_containing_symbol=name) for name in own]
    files: dict[str, FileDescriptorProto] = {}
    for told in await _reflected(stub, asked):
        for serialized in told.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(serialized)
            files[file.name] = file
    pool = DescriptorPool()
    _add(pool, files, list(files))
    return [method for name in own for method in pool.FindServiceByName(name).methods]


async def _reflected(stub: Any, asked: Sequence[ServerReflectionRequest]) -> Sequence[Any]:
    call = stub.ServerReflectionInfo(iter(asked), timeout=30)
    return [told async for told in call]


def _add(pool: DescriptorPool, files: dict[str, FileDescriptorProto], names: Sequence[str]) -> None:
    """Add files to a pool, each after those that it builds on."""
    for name in names:
        file = files.pop(name, None)
        if file is not None:
            _add(pool, files, file.dependency)
            pool.Add(file)


class RpcDoor:
    """Calls over one channel."""

    def __init__(self, channel: Channel) -> None:
        # Without serializers: what is sent and received is bytes.
        self._unary: Any = channel.unary_unary
        self._stream: Any = channel.unary_stream

    async def judge(self, probe: RpcProbe) -> tuple[list[str], bool]:
        """What is wrong with how a call ended, and whether it was refused for good."""
        code, details, response = await self._end(probe)
        again = forged(probe, response) if response else None
        if again is not None:
            code, details, _ = await self._end(again)
            details = f"with the page token changed: {details}"
        if code in _FAULTS:
            return [f"{code.name}: {details[:500]}"], False
        is_refused = code not in (grpc.StatusCode.OK, grpc.StatusCode.ABORTED)
        if probe.expected is Expected.REFUSED and not is_refused:
            return [f"{code.name}, though it has no meaning"], False
        if code is grpc.StatusCode.UNIMPLEMENTED and probe.kind != "nowhere":
            return [f"UNIMPLEMENTED: {details[:500]}"], True
        return [], is_refused and again is None

    async def _end(self, probe: RpcProbe) -> tuple[grpc.StatusCode, str, bytes]:
        """The status that a call ends with; of a stream, so much as shows that it goes well."""
        how: dict[str, Any] = {"metadata": probe.metadata, "timeout": probe.timeout_seconds}
        response = b""
        try:
            if probe.is_stream:
                await self._begin(probe, how)
            else:
                response = await self._unary(probe.path)(probe.message, **how)
        except AioRpcError as error:
            return error.code(), error.details() or "", b""
        return grpc.StatusCode.OK, "", response

    async def _begin(self, probe: RpcProbe, how: dict[str, Any]) -> None:
        # What has no meaning is refused at once, and nobody waits for it to go on.
        is_watched = probe.expected is Expected.ANSWERED
        if is_watched:
            how["timeout"] = _WATCHED_SECONDS
        call = self._stream(probe.path)(probe.message, **how)
        received = 0
        try:
            async for _ in call:
                received += 1
                if received == _MESSAGES_MAX:
                    break
        except AioRpcError as error:
            # Who watches what does not change hears nothing until the time is over.
            if not is_watched or error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
        finally:
            call.cancel()
