"""Page tokens: where a list goes on, tied to the list and the filters it was made for.

A token is opaque to callers and holds nothing secret; the tie is there so that a token sent back
with other filters is refused instead of quietly skipping what the caller has never seen.
"""

import base64
import hashlib
import json
from typing import Final

from services.kernel.errors import FieldViolation, InvalidArgument, Reason

DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 100


def page_size(asked: int) -> int:
    """How many to return: zero means the default, too many means as many as there may be."""
    if asked < 0:
        message = "must be zero or more"
        raise InvalidArgument(
            message, violations=[FieldViolation("page_size", "page_size.range", message)]
        )
    return min(asked, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE


def encode_page_token(filters: str, cursor: tuple[str, ...]) -> str:
    """The token of the page that begins at `cursor`, for a list under `filters`."""
    text = json.dumps([_tie(filters), *cursor], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_page_token(token: str, filters: str, *, length: int) -> tuple[str, ...] | None:
    """The cursor of a token, which has `length` parts; None for the first page."""
    if not token:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, RecursionError):
        raise invalid_page_token() from None
    if (
        not isinstance(parts, list)
        or len(parts) != length + 1
        or not all(isinstance(part, str) for part in parts)
        or parts[0] != _tie(filters)
    ):
        raise invalid_page_token()
    return tuple(parts[1:])


def _tie(filters: str) -> str:
    return hashlib.sha256(filters.encode()).hexdigest()[:16]


def invalid_page_token() -> InvalidArgument:
    """The refusal of a token, also of one whose parts turn out to be no place in the list."""
    message = "was not made by this method for these filters"
    return InvalidArgument(
        f"the page token {message}",
        reason=Reason.PAGE_TOKEN_INVALID,
        violations=[FieldViolation("page_token", "page_token.made_here", message)],
    )
