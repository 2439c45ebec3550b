"""The measurements behind every claim of speed; each is run by its name."""

from pathlib import Path

import orjson

JSON_HELP = "write what was found there as well"


def keep(found: object, path: Path | None) -> None:
    """Write what was found as JSON, where somebody has said where."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
