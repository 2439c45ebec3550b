"""The list of guards does not rot: what it speaks of is there, and the page says the same."""

from pathlib import Path

import pytest

from tests.mutation.checkout import copy_checkout, without
from tests.mutation.guard import ROOT, Cut, Guard, Rotten
from tests.mutation.guards import GUARDS, ROOMS
from tests.mutation.page import PAGE, rendered
from tests.mutation.run import remove_each

_MEANT = "services/kernel/money.py"


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_a_guard_stands_exactly_once_and_its_tests_are_there(guard: Guard) -> None:
    guard.check()


def test_every_guard_has_a_name_of_its_own() -> None:
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


def test_the_page_lists_the_guards() -> None:
    assert PAGE.read_text() == rendered(ROOMS), "python -m tests.mutation --page"


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("services/nowhere.py", "x", "there is no"),
        (_MEANT, "no such text", "0 times"),
        (_MEANT, "import", "times, and not once"),
    ],
)
def test_what_is_not_there_exactly_once_is_rotten(file: str, text: str, problem: str) -> None:
    with pytest.raises(Rotten, match=problem):
        Cut(file, text).check()


def test_a_test_that_is_not_there_is_rotten() -> None:
    guard = Guard("any", "nothing", GUARDS[0].cuts, ("tests/kernel/test_money.py::test_nowhere",))
    with pytest.raises(Rotten, match="there is no test"):
        guard.check()


async def test_a_guard_is_removed_in_a_copy_and_who_misses_it_is_named(tmp_path: Path) -> None:
    before = (ROOT / _MEANT).read_text()
    base = copy_checkout(tmp_path / "whole")
    cut = Cut(_MEANT, "    if expected != actual:", "    if False:")
    mixing = "tests/kernel/test_money.py::test_currencies_never_mix"
    ends = "tests/kernel/test_money.py::test_the_ends_of_64_bits_are_amounts"
    missed = Guard("missed", "currencies", (cut,), (mixing,))
    ignored = Guard("ignored", "currencies", (cut,), (ends,))
    found = await remove_each(
        base, [missed, ignored], at_once=1, timeout_seconds=300, tell=lambda _: None
    )
    assert [finding.killed_by for finding in found] == [mixing, None]
    assert found[1].problem == "the tests pass without it"
    assert (ROOT / _MEANT).read_text() == (base / _MEANT).read_text() == before
    assert "    if False:" in (without(base, tmp_path / "cut", (cut,)) / _MEANT).read_text()
