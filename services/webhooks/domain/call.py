"""The key of a call that may be repeated."""

from typing import Final

from services.kernel.errors import FieldViolation, InvalidArgument, Reason
from services.kernel.redaction import find_card_numbers

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
    if find_card_numbers(key):
        raise InvalidArgument(
            "the idempotency key holds a card number",
            reason=Reason.CARD_NUMBER_PRESENT,
            violations=[FieldViolation("idempotency_key", "text.card_number", "is a card number")],
        )
