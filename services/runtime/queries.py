"""SQL as SQL people read it: each store has a `queries.sql`, each statement a name and a sentence.

-- name: find_transaction
-- The header alone; entries are read by their own statement.
select …
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(package: str) -> Mapping[str, str]:
    """The statements of the package's `queries.sql`, by name; a misnamed one is a KeyError."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    return MappingProxyType(parse_queries(text))


def parse_queries(text: str) -> dict[str, str]:
    """Split a file into its named statements, and refuse what has no name or no sentence."""
    preamble, *parts = _NAME.split(text)
    if _statement(preamble):
        raise ValueError("SQL before the first name")
    queries: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{name} is there twice")
        if not body.lstrip("\n").startswith("-- "):
            raise ValueError(f"{name} does not say what it is for")
        queries[name] = _statement(body)
        if not queries[name]:
            raise ValueError(f"{name} has no statement")
    return queries


def _statement(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines).strip().removesuffix(";")
