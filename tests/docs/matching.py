"""Whether a command printed what its page shows: `…` stands for whatever is another each time.

Alone on a line it stands for any number of lines. JSON is compared however either is laid out.
"""

import json
import re


def shows(shown: str, printed: str) -> bool:
    """Whether all that was printed is what is shown."""
    layout = _json_layout(printed)
    if layout is not None:
        return bool(re.fullmatch(_pattern(_one_line(shown), ".*?"), layout, re.DOTALL))
    return bool(re.fullmatch(_lines_pattern(shown), _lines(printed)))


def _json_layout(printed: str) -> str | None:
    try:
        return _one_line(json.dumps(json.loads(printed), ensure_ascii=False))
    except ValueError:
        return None


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return re.sub(r"(?<=[\[{]) | (?=[\]}])", "", flat)


def _lines(text: str) -> str:
    return "".join(f"{' '.join(line.split())}\n" for line in text.strip().splitlines())


def _lines_pattern(shown: str) -> str:
    return "".join(
        r"(?:[^\n]*\n)*?" if line == "…\n" else _pattern(line, r"[^\n]*?")
        for line in _lines(shown).splitlines(keepends=True)
    )


def _pattern(shown: str, anything: str) -> str:
    return anything.join(re.escape(part) for part in shown.split("…"))
