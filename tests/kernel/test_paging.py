"""A page token leads back to where it was made, for what it was made, or is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.paging import decode_page_token, encode_page_token, page_size


@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_a_token_gives_its_cursor_back(filters: str, cursor: list[str]) -> None:
    token = encode_page_token(filters, tuple(cursor))
    assert decode_page_token(token, filters, length=len(cursor)) == tuple(cursor)


def test_no_token_is_the_first_page() -> None:
    assert decode_page_token("", "any", length=1) is None


@pytest.mark.parametrize(
    "token",
    [
        "rubbish",
        "é",
        "W10",
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b'["0000000000000000","x"]').decode(),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        encode_page_token("other filters", ("x",)),
        encode_page_token("filters", ("x", "y")),
    ],
)
def test_a_token_from_elsewhere_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        decode_page_token(token, "filters", length=1)
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize(("asked", "given_"), [(0, 20), (1, 1), (100, 100), (101, 100)])
def test_a_page_has_a_default_and_a_largest_size(asked: int, given_: int) -> None:
    assert page_size(asked) == given_


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        page_size(-1)
