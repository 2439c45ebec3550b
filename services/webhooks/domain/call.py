"""The key of a call that may be repeated."""

from typing import Final

from services.kernel.errors import FieldViolation, InvalidArgument, Reason

_CHARACTERS_MAX: Final = 255


def check_key(key: str) -> None:
    """Refuse a key under which nothing can be remembered."""
    if not key:
        raise InvalidArgument(
            "the call needs an idempotency key", reason=Reason.IDEMPOTENCY_KEY_MISSING
        )
    if len(key) > _CHARACTERS_MAX or not key.isprintable():
        message = f"must be at most {_CHARACTERS_MAX} characters, all printable"
        violation = FieldViolation("idempotency_key", "idempotency_key.text", message)
        raise InvalidArgument(f"the idempotency key {message}", violations=[violation])
