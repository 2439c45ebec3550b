"""The same request, configuration and processors give the same bytes, wherever and whenever."""

import subprocess
import sys
from pathlib import Path

from services.kernel.errors import FailedPrecondition
from services.kernel.money import Money
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.translate.plan import plan_message
from tests.plan_builder.many_plans import cases
from tests.plan_builder.orders import catalogue, config, request

_ROOT = Path(__file__).parents[2]


def _plans_of_another_process(hash_seed: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.plan_builder.many_plans", "17", "2000"],
        cwd=_ROOT,
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'gen'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout


def test_plans_are_the_same_bytes_in_processes_that_hash_differently() -> None:
    first, second = (_plans_of_another_process(seed) for seed in ("1", "2"))
    assert first == second
    planned = int(first.split()[0])
    assert 500 < planned < 2_000, "some are planned and some refused"


def test_every_plan_keeps_its_promises() -> None:
    refusals: list[FailedPrecondition] = []
    for context, settings, processors in cases(23, 2_000):
        try:
            plan = build_plan(context, settings, processors)
        except FailedPrecondition as error:
            refusals.append(error)
            continue
        currency = context.amount.currency
        assert Money.total((step.amount for step in plan.steps), currency) == context.amount
        for step, preference in zip(plan.steps, context.steps, strict=False):
            assert step.amount <= step.max_amount <= context.amount
            assert preference.max_amount is None or step.max_amount <= preference.max_amount
        for step in plan.steps:
            kept = [d.processor_id for d in step.decisions if d.is_kept]
            assert kept == [candidate.processor_id for candidate in step.candidates] != []
            for processor_id in kept:
                taken = processors[processor_id].currencies
                assert not taken or currency.code in taken
    assert refusals
    assert all(refusal.violations for refusal in refusals), "a refusal names its rules"


def test_the_digest_names_the_plan() -> None:
    plan = plan_message(build_plan(request(), config(), catalogue()))
    same = plan_message(build_plan(request(), config(), catalogue()))
    other = plan_message(build_plan(request(), config("b", "a"), catalogue()))
    assert plan.digest == same.digest
    assert len(plan.digest) == 64
    assert plan.digest != other.digest
