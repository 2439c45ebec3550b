"""Named SQL: statements have names and sentences, and a file without them is refused."""

import pytest

from services.runtime.queries import parse_queries


def test_statements_are_found_by_name() -> None:
    text = """
-- name: one
-- Says one.
select 1;

-- name: two
-- Says two,
-- at length.
select
    -- the number itself
    2
"""
    assert parse_queries(text) == {"one": "select 1", "two": "select\n    2"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("select 1", "before the first name"),
        ("-- name: one\nselect 1", "does not say what it is for"),
        ("-- name: one\n-- Says one.\n", "has no statement"),
        ("-- name: one\n-- A.\nselect 1;\n-- name: one\n-- B.\nselect 2;", "there twice"),
    ],
)
def test_a_file_without_names_or_sentences_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_queries(text)
