"""Entities as JSON text and back, for the store and for the snapshots inside events."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def encode(value: object) -> bytes:
    """The JSON text of a dataclass."""
    return _encode(value)


_decoders: dict[type, Any] = {}


def decode(kind: type[T], text: bytes | str) -> T:
    """The dataclass a JSON text tells of."""
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind)
    decoded: T = _decoders[kind].decode(text)
    return decoded
