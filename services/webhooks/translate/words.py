"""The words that several of the webhooks' messages share."""

from google.protobuf.message import Message

from services.kernel.errors import FieldViolation, InvalidArgument


def optional_text(message: Message, field: str) -> str | None:
    """A text that PostgreSQL can be asked about; None for whatever it is."""
    text: str = getattr(message, field)
    if not text.isprintable():
        raise refusal(field, "text.printable", "holds what cannot be printed")
    return text or None


def refusal(field: str, rule: str, message: str) -> InvalidArgument:
    return InvalidArgument(
        f"the request {message}", violations=[FieldViolation(field, rule, message)]
    )
