"""docs/guards.md, rendered from the list: `python -m tests.mutation --page` writes it anew."""

from collections.abc import Iterator, Mapping, Sequence

from tests.mutation.guard import ROOT, Guard

PAGE = ROOT / "docs" / "guards.md"

_OPENING = """\
# Guards

What keeps money from going wrong, one by one, and the test that fails when it is gone. That is
tried, not believed: each guard is taken out of a copy of the checkout, and a guard that no test
misses is a finding.

<!-- not run: tests are run elsewhere -->
```bash
make mutation
make mutation ONLY=refund-headroom
```

The copy is what is imported, which is proven first; the tests named here have to pass in it before
anything is removed. A table tells which test has noticed, `.switchyard/mutation.json` holds the
same, and the command exits with 1 if a guard was not missed. An entry whose text or test is not
there any more fails the routine tests, so that this list does not rot.
"""


def rendered(rooms: Mapping[str, Sequence[Guard]]) -> str:
    """The page as it has to be."""
    return "\n".join(_lines(rooms)) + "\n"


def _lines(rooms: Mapping[str, Sequence[Guard]]) -> Iterator[str]:
    yield _OPENING
    yield f"There are {sum(map(len, rooms.values()))}."
    for title, guards in rooms.items():
        yield f"\n## {title}\n"
        yield "| guard | protects | stands in | missed by |"
        yield "|---|---|---|---|"
        for guard in guards:
            files = ", ".join(dict.fromkeys(f"`{cut.file}`" for cut in guard.cuts))
            tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in guard.tests)
            yield f"| {guard.name} | {guard.protects} | {files} | {tests} |"
