"""Addresses as host:port: which may be used in the clear, and which are still free."""

import ipaddress
import socket

from services.runtime.rpc.errors import ChannelError


def split_address(address: str) -> tuple[str, int]:
    """The host and the port of `host:port`, or of `[host]:port` for IPv6."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ChannelError(f"{address!r} is not an address: write host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def require_loopback_or_tls(address: str, *, has_tls: bool) -> None:
    """Refuse an address of another machine without TLS: the service token would cross in clear."""
    host, _ = split_address(address)
    if not has_tls and not _is_loopback(host):
        raise ChannelError(
            f"{address} is not on this machine: set a TLS certificate, or use 127.0.0.1"
        )


def require_free(address: str) -> None:
    """Refuse an address that cannot be listened on, saying why; gRPC itself does not say."""
    host, port = split_address(address)
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ChannelError(
            f"cannot listen on {address}: {error.strerror or error}; stop what listens there, or"
            " choose another address"
        ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
