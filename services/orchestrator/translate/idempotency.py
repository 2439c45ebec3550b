"""A key as the one who asks about it is told."""

import re
from typing import Final

from payments.orchestrator.v1 import idempotency_pb2
from payments.orchestrator.v1.orchestrator_service_pb2 import GetIdempotencyRequest

from services.kernel.context import MAX_IDEMPOTENCY_KEY_CHARACTERS
from services.kernel.errors import Reason
from services.orchestrator.domain.key import KeyStanding, KeyState
from services.orchestrator.translate.words import invalid, without_card_number

_FINGERPRINT: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_STATES: Final = {
    word: idempotency_pb2.IdempotencyState.Value(f"IDEMPOTENCY_STATE_{word.name}")
    for word in KeyState
}


def check_key(key: str) -> str:
    """The key, if it can be one."""
    if not key:
        raise invalid(
            "idempotency_key",
            "idempotency_key.present",
            "must not be empty",
            reason=Reason.IDEMPOTENCY_KEY_MISSING,
        )
    if len(key) > MAX_IDEMPOTENCY_KEY_CHARACTERS or "\0" in key:
        problem = f"has at most {MAX_IDEMPOTENCY_KEY_CHARACTERS} characters, none of them NUL"
        raise invalid("idempotency_key", "idempotency_key.characters", problem)
    return without_card_number("idempotency_key", key)


def wanted_fingerprint(request: GetIdempotencyRequest) -> bytes | None:
    """The fingerprint of the request that is asked about; None for the key alone."""
    if not request.fingerprint:
        return None
    if not _FINGERPRINT.fullmatch(request.fingerprint):
        raise invalid("fingerprint", "fingerprint.sha256", "must be 64 hexadecimal digits")
    return bytes.fromhex(request.fingerprint)


def key_message(key: str, standing: KeyStanding) -> idempotency_pb2.IdempotencyRecord:
    message = idempotency_pb2.IdempotencyRecord(
        idempotency_key=key,
        state=_STATES[standing.state],
        retry_safe=standing.is_retry_safe,
    )
    if (record := standing.record) is not None:
        message.operation = record.operation
        message.payment_id = record.payment_id
        message.request_id = record.request_id
        message.first_used_at.FromDatetime(record.first_used_at)
        if record.answered_at is not None:
            message.answered_at.FromDatetime(record.answered_at)
    return message
