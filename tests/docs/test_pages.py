"""Every command of a page runs, and prints what the page shows; every Python example runs."""

import ast
import re
import shutil
from collections import Counter

import pytest

from tests.docs.matching import shows
from tests.docs.pages import PAGES, ROOT, Block, blocks, steps
from tests.docs.reader import Reader

# Why a block may be left out, and how many are: all that no test runs is counted here.
_NOT_RUN = {
    "a fragment": 3,
    "needs Kafka, Java and Maven": 1,
    "needs an account at Stripe": 5,
    "starts another system": 3,
    "tests are run elsewhere": 6,
}
_WORDS_OF_COMMANDS = ("payment-cli ", "make ", "curl ", "python ", "python3 ", "git ", "$ ")
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
_BLOCKS = [block for page in PAGES for block in blocks(page)]
_PYTHON = [
    pytest.param(block, id=f"{block.page}:{block.line}")
    for block in _BLOCKS
    if block.language == "python"
]


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)])
def test_every_command_of_the_page_does_what_is_shown(reader: Reader, page: str) -> None:
    typed = steps(page)
    if any("grpcurl " in step.command for step in typed) and not _is_there("grpcurl"):
        pytest.skip("grpcurl is not installed: .ci/run puts it into .tools/bin")
    reader.follows(typed)


@pytest.mark.parametrize("block", _PYTHON)
def test_every_python_example_runs(reader: Reader, block: Block) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(block.text.replace("…", "..."), f"{block.page}:{block.line}", "exec", flags)
    if block.not_run is None:
        reader.runs(block.text)


def test_what_no_test_runs_is_known_and_why() -> None:
    assert Counter(block.not_run for block in _BLOCKS if block.not_run is not None) == _NOT_RUN


def test_a_block_of_commands_says_that_it_is_one() -> None:
    unsaid = [
        f"{block.page}:{block.line}"
        for block in _BLOCKS
        if block.language in ("", "sh", "shell")
        and any(line.startswith(_WORDS_OF_COMMANDS) for line in block.text.splitlines())
    ]
    assert not unsaid


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_page_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target, anchor in _LINK.findall((ROOT / page).read_text()):
        led_to = (folder / target).resolve() if target else ROOT / page
        assert led_to.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", led_to.read_text(), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, f"{target}#{anchor}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    missing = [page for page in PAGES if f"]({page.removeprefix('docs/')})" not in index]
    assert [page for page in missing if page.startswith("docs/") and "README" not in page] == []


@pytest.mark.parametrize(
    ("shown", "printed", "is_shown"),
    [
        ("made pay_…", "made pay_0198", True),
        ("made pay_…", "made pay_0198\nand more", False),
        ("made pay_…\n…", "made pay_0198\nand more\nand more", True),
        ("made pay_…\n…", "made pay_0198", True),
        ("…\nthe last", "first\nsecond\nthe last", True),
        ("…\nthe last", "first\nsecond\nthe last one", False),
        ("a   b", "a b", True),
        ('{"a": 1, …, "z": […]}', '{"a":1,"b":2,"z":[{"c":3}]}', True),
        ('{"a": 1, …}', '{"a":2,"b":2}', False),
    ],
)
def test_what_is_shown_is_compared_in_its_stable_parts(
    shown: str, printed: str, is_shown: bool
) -> None:
    assert shows(shown, printed) is is_shown


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _is_there(program: str) -> bool:
    return shutil.which(program, path=str(ROOT / ".tools/bin")) is not None
