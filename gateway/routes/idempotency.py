"""What became of a key: whether it was used, and whether the same request may be sent again."""

import re
from typing import Final

from payments.orchestrator.v1.orchestrator_service_pb2 import GetIdempotencyRequest

from gateway.auth import Scope
from gateway.exchange import Exchange
from gateway.limits import refuse_card_data
from gateway.operations import PREFIX, Operation, Parameter, Success
from gateway.shapes.idempotency import IdempotencyRecord, record_shape
from gateway.told import Told
from services.kernel.context import MAX_IDEMPOTENCY_KEY_CHARACTERS
from services.kernel.errors import FieldViolation, InvalidArgument

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


async def get_key(exchange: Exchange) -> Told:
    key = exchange.path("key")
    if len(key) > MAX_IDEMPOTENCY_KEY_CHARACTERS or not key.strip() or _CONTROL.search(key):
        told = f"must have 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} printable characters"
        raise _wrong("key", told)
    refuse_card_data({"key": key})
    fingerprint = exchange.query().get("fingerprint", "").lower()
    if fingerprint and _FINGERPRINT.fullmatch(fingerprint) is None:
        raise _wrong("fingerprint", "must be a SHA-256 in hexadecimal")
    request = GetIdempotencyRequest(
        merchant_id=exchange.caller.merchant(), idempotency_key=key, fingerprint=fingerprint
    )
    response = await exchange.services.orchestrator.GetIdempotency(request)
    return Told(200, record_shape(response.record))


def _wrong(field: str, problem: str) -> InvalidArgument:
    violation = FieldViolation(field, f"{field}.form", f"It {problem}.")
    return InvalidArgument(f"{field} {problem}", violations=[violation])


OPERATIONS: Final = (
    Operation(
        "getIdempotencyKey",
        "GET",
        f"{PREFIX}/idempotency/{{key:path}}",
        "What became of an idempotency key, and whether a retry is safe.",
        get_key,
        {200: Success("What is known of the key.", IdempotencyRecord)},
        (404,),
        Scope.PAYMENTS_READ,
        parameters=(
            Parameter("key", "path", "The key.", {"type": "string"}, "order-17"),
            Parameter(
                "fingerprint",
                "query",
                "The SHA-256 of the canonical request in hexadecimal: asks about that request.",
                {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            ),
        ),
        tag="idempotency",
    ),
)
