"""Addresses as host:port, and the rule that nothing leaves this machine in the clear."""

import ipaddress

from services.runtime.rpc.errors import ChannelError


def require_loopback_or_tls(address: str, *, has_tls: bool) -> None:
    """Refuse an address of another machine without TLS: the service token would cross in clear."""
    if not has_tls and not is_loopback(address):
        raise ChannelError(
            f"{address} is not on this machine: set a TLS certificate, or use 127.0.0.1"
        )


def is_loopback(address: str) -> bool:
    """Whether host:port can be reached from this machine alone."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        raise ChannelError(f"{address!r} is not an address: write host:port")
    host = host.removeprefix("[").removesuffix("]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
