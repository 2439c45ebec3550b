"""Refunds that were paid out and came back: they stay as they ended, and are booked back."""

from uuid import UUID

from oracle.books import Books


def came_back(books: Books, part_id: UUID | None) -> bool:
    """Whether what a part of a refund had paid out is with us again."""
    return part_id is not None and f"refund_returned:rep_{part_id.hex}" in books.postings
