"""The pages as a reader has them: fenced blocks, and what each shows that a command prints.

A block of `bash` is one command; in a block of `console` each line with a dollar sign is, and what
follows it is what it prints. A block of `json` or `text` right under one of `bash` is what that
prints. `<!-- not run: why -->` above a block, which no reader sees, keeps it from being run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(
    sorted(
        path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    )
)
_OUTPUT: Final = ("json", "text")
_FENCE: Final = re.compile(r"```(?P<language>[^\n]*)")
_NOT_RUN: Final = re.compile(r"<!-- not run: (?P<reason>.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    """Where its text begins, from 1."""
    language: str
    text: str
    not_run: str | None
    """Why no test runs it."""
    follows: bool
    """Whether nothing but empty lines lies between it and the block before."""


@dataclass(frozen=True)
class Step:
    """A command of a page, and what the page shows that it prints."""

    page: str
    line: int
    command: str
    shown: str | None = None


def blocks(page: str) -> Iterator[Block]:
    """Every fenced block of the page."""
    lines = (ROOT / page).read_text().splitlines()
    number, last_end = 0, -1
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        if fence is None:
            number += 1
            continue
        end = next(at for at in range(number + 1, len(lines)) if lines[at] == "```")
        above = _NOT_RUN.fullmatch(lines[number - 1]) if number else None
        yield Block(
            page=page,
            line=number + 2,
            language=fence["language"],
            text="\n".join(lines[number + 1 : end]),
            not_run=above["reason"] if above else None,
            follows=last_end >= 0 and not any(lines[last_end + 1 : number]),
        )
        number, last_end = end + 1, end


def steps(page: str) -> list[Step]:
    """What a reader types, from the top of the page to its end."""
    found: list[Step] = []
    is_output_awaited = False
    for block in blocks(page):
        if block.language in _OUTPUT and block.follows and is_output_awaited:
            found[-1] = replace(found[-1], shown=block.text)
        is_output_awaited = block.language == "bash" and block.not_run is None
        if block.not_run is not None:
            continue
        if block.language == "bash":
            found.append(Step(page, block.line, block.text))
        elif block.language == "console":
            found += _session(block)
    return found


def _session(block: Block) -> Iterator[Step]:
    step: Step | None = None
    for offset, line in enumerate(block.text.splitlines()):
        if line.startswith("$ "):
            if step is not None:
                yield step
            step = Step(block.page, block.line + offset, line.removeprefix("$ "))
        elif step is not None and step.shown is None and step.command.endswith("\\"):
            step = replace(step, command=f"{step.command}\n{line}")
        else:
            assert step is not None, f"{block.page}:{block.line + offset}: output of no command"
            shown = line if step.shown is None else f"{step.shown}\n{line}"
            step = replace(step, shown=shown)
    if step is not None:
        # An empty line before the next command is for the eye.
        yield step
