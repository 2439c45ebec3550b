"""Named SQL: statements have names and sentences, and a file without them is refused."""

from pathlib import Path

import pytest

from services.runtime.queries import load_queries, parse_queries


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


def test_a_package_has_the_statements_of_all_its_files_and_no_name_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "trial_package_of_queries"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "reading.sql").write_text("-- name: one\n-- Says one.\nselect 1;\n")
    (package / "writing.sql").write_text("-- name: two\n-- Says two.\nselect 2;\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert dict(load_queries(package.name)) == {"one": "select 1", "two": "select 2"}
    (package / "more.sql").write_text("-- name: one\n-- Says one.\nselect 3;\n")
    with pytest.raises(ValueError, match="has one in two files"):
        load_queries(package.name)
