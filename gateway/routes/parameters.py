"""Values that several operations take in path, query or header."""

from typing import Final

from gateway.operations import Parameter
from services.kernel.context import MAX_IDEMPOTENCY_KEY_CHARACTERS

_ID_EXAMPLE: Final = "018f3c5e7d1c7a2b9c4d5e6f70819203"

PAYMENT_ID: Final = Parameter(
    "payment_id",
    "path",
    "The payment.",
    {"type": "string"},
    f"pay_{_ID_EXAMPLE}",
)
REFUND_ID: Final = Parameter(
    "refund_id", "path", "The refund.", {"type": "string"}, f"re_{_ID_EXAMPLE}"
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "Makes the call safe to repeat: the same key and request get the same answer.",
    {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS},
    "order-17",
)
PREFER: Final = Parameter(
    "Prefer",
    "header",
    "`respond-async` is answered 202 as soon as the intention is committed.",
    {"type": "string"},
    "respond-async",
)
REQUEST_ID: Final = Parameter(
    "Request-Id",
    "header",
    "Your own id of the request, `req_` and a UUIDv7 in hex; one is made if there is none.",
    {"type": "string"},
    f"req_{_ID_EXAMPLE}",
)
ORDERED: Final = (IDEMPOTENCY_KEY, REQUEST_ID)
