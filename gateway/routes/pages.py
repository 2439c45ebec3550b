"""The pages for people: /openapi.json, /docs that renders it, and a page of all problems.

Everything comes from this process: there is no CDN, and the pages run nothing but their own script.
"""

from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Final

from gateway.exchange import Exchange
from gateway.kinds import DECLINES, KINDS, METHOD_NOT_ALLOWED
from gateway.operations import Operation
from gateway.problems import DOCUMENTATION_PATH
from gateway.told import JSON, Told

_FOLDER: Final = Path(__file__).parents[1] / "pages"
_HTML: Final = "text/html; charset=utf-8"
_DECLINED: Final = 402


def operations(specification: bytes) -> Sequence[Operation]:
    """The pages, as operations that no document lists."""
    return (
        _page("/openapi.json", specification, JSON),
        _page("/docs", _file("docs.html"), _HTML),
        _page("/docs/docs.js", _file("docs.js"), "text/javascript; charset=utf-8"),
        _page("/docs/docs.css", _file("docs.css"), "text/css; charset=utf-8"),
        _page(DOCUMENTATION_PATH, _problems(), _HTML),
    )


async def _show(_exchange: Exchange, *, told: Told) -> Told:
    return told


def _page(path: str, content: bytes, media_type: str) -> Operation:
    told = Told(200, content, media_type=media_type)
    return Operation(path, "GET", path, "", partial(_show, told=told), {}, needs_key=False)


def _file(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def _problems() -> bytes:
    rows = [(reason.lower(), kind.status, kind.title) for reason, kind in KINDS.items()]
    rows += [(code, _DECLINED, title) for code, title in DECLINES.items() if code != "rate_limited"]
    rows.append(("method_not_allowed", *METHOD_NOT_ALLOWED))
    lines = "".join(
        f'<tr id="{code}"><td><code>{code}</code></td><td>{status}</td>'
        f"<td>{escape(title)}.</td></tr>\n"
        for code, status, title in sorted(rows)
    )
    return _file("problems.html").replace(b"<!-- rows -->", lines.encode())
