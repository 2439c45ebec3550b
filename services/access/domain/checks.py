"""The checks that texts from outside go through; each yields what it finds wrong."""

import re
from collections.abc import Iterator
from typing import Final

from services.kernel.errors import FieldViolation
from services.kernel.redaction import redact_text

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


def check_text(field: str, text: str, *, at_least: int, at_most: int) -> Iterator[FieldViolation]:
    if not at_least <= len(text) <= at_most:
        yield FieldViolation(field, "text.length", f"must have {at_least} to {at_most} characters")
    elif _UNPRINTABLE.search(text):
        yield FieldViolation(field, "text.printable", "holds a control character")
    elif redact_text(text) != text:
        # It would be stored and shown to everyone who may see this field.
        yield FieldViolation(field, "text.secret", "holds an API key or card data")


def check_email(field: str, text: str) -> Iterator[FieldViolation]:
    """An address of the right form, or none."""
    if text and not _EMAIL.fullmatch(text):
        yield FieldViolation(field, "email.form", "must be an e-mail address, or empty")
    else:
        yield from check_text(field, text, at_least=0, at_most=254)
