"""What a caller is told: a status, a body, and the headers that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.responses import Response

JSON: Final = "application/json"
# Answers are the merchant's alone, and no page may frame, sniff or run anything of them.
_GUARDS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_PAGE_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    b" frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer before it is bytes; a body that is bytes already goes out as it is."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON

    def response(self, request_id: str) -> Response:
        """The answer as it is sent."""
        body = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        response = Response(body, self.status, self.headers, self.media_type)
        response.raw_headers.extend(_guards_of(self.media_type))
        response.raw_headers.append((b"request-id", request_id.encode()))
        return response


def _guards_of(media_type: str) -> tuple[tuple[bytes, bytes], ...]:
    if not media_type.startswith("text/html"):
        return _GUARDS
    return tuple(
        (name, _PAGE_POLICY if name == b"content-security-policy" else value)
        for name, value in _GUARDS
    )
