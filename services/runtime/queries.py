"""SQL as SQL people read it: it lies beside its store, each statement with a name and a sentence.

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
    """The statements of the package's `.sql` files, by name; a misnamed one is a KeyError."""
    found: dict[str, str] = {}
    for file in files(package).iterdir():
        if file.name.endswith(".sql"):
            statements = parse_queries(file.read_text(encoding="utf-8"))
            if twice := found.keys() & statements:
                raise ValueError(f"{package} has {', '.join(sorted(twice))} in two files")
            found |= statements
    return MappingProxyType(found)


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
