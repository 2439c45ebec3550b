"""Malformed requests, HTTP and gRPC: none is the platform's fault, and none leaves what it may not.

The routine run sends a thousand; `make fuzz` sends any number with any seed.
"""

from pathlib import Path

import pytest

from tests.fuzz.http_drawing import HttpProbes
from tests.fuzz.probes import OPEN_FROM, Door, Mark, marks_in
from tests.fuzz.remains import cards_in, grown, search_file
from tests.fuzz.run import fuzz
from tests.fuzz.world import World

_COUNT = 1_000
_WORLD = World(
    http_address="127.0.0.1:1",
    grpc_address="127.0.0.1:2",
    grpc_token="t",  # noqa: S106 -- nobody's
    api_key="k",
    merchant_id="mer_1",
    admin_key="a",
    webhook_secret="whsec_1",  # noqa: S106 -- nobody's
    held_id="pay_1",
    captured_id="pay_2",
    others_payment_id="pay_3",
    internal_merchant_id="mer_2",
    internal_payment_ids=("pay_4", "pay_5"),
    internal_key_ids=("key_1",),
)


@pytest.mark.slow
async def test_what_is_malformed_is_refused_or_remarked_and_leaves_nothing_behind(
    short_tmp_path: Path,
) -> None:
    outcome = await fuzz(short_tmp_path, seed=17, count=_COUNT)
    assert not outcome.findings, outcome
    assert outcome.total > _COUNT * 0.9
    for became in ("http refused", "http taken", "rpc refused", "rpc taken", "documented refused"):
        assert outcome.sent[became] > 0, outcome
    assert outcome.methods > 50
    assert outcome.report.payments["captured"] > 0


def test_the_same_seed_and_number_is_the_same_request_and_another_seed_another() -> None:
    def drawn(seed: int) -> list[bytes]:
        probes = HttpProbes(seed, _WORLD)
        numbers = (*range(200), *range(OPEN_FROM, OPEN_FROM + 100))
        made = [probes.probe(number) for number in numbers]
        # A signature is of the moment at which it is made.
        return [each.wire for each in made if each.kind not in ("signed", "forged")]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_a_request_is_known_by_its_marks_wherever_they_are() -> None:
    for door in Door:
        mark = Mark(door, 123_456)
        dashed = "-".join(
            mark.request_id.removeprefix("req_")[start:end]
            for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
        )
        for text in (mark.text, mark.request_id, dashed, f"x{mark.text}-key"):
            assert marks_in(text.encode()) == {mark}
    assert marks_in(b"fz000123456 019aa5a0") == set()


def test_the_search_finds_a_card_number_however_it_is_grouped(tmp_path: Path) -> None:
    assert cards_in(b"note: 4242-4242 42424242.")
    assert not cards_in(b"note: 4242-4242 4242424.")
    path = tmp_path / "log"
    path.write_bytes(b"x" * (1 << 20) + b"3782 822463 10005\n")
    found, lines = search_file(path)
    assert (len(found), lines) == (1, 1)


def test_a_row_more_is_a_finding() -> None:
    (finding,) = grown({"a.b": 1, "a.c": 2}, {"a.b": 1, "a.c": 3})
    assert "a.c" in finding.problem
