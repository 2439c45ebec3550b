"""How the whole amount is divided among the steps: as much as it may to the first, then the next.

A step takes nothing, or something between its bounds. The division that gives the earlier steps the
most is found whenever there is one: what the steps from each place on can make up together is
worked out beforehand, as stretches of amounts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least a step takes when it takes anything, and the most, in minor units."""

    min_minor: int
    max_minor: int


def divide(total_minor: int, bounds: Sequence[Bounds]) -> Sequence[int] | None:
    """The amount of each step, or None when the steps cannot make up the total."""
    reach = _reach(bounds)
    amounts = []
    left_minor = total_minor
    for bound, beyond in zip(bounds, reach[1:], strict=True):
        amount_minor = _most(left_minor, bound, beyond)
        if amount_minor is None:
            return None
        amounts.append(amount_minor)
        left_minor -= amount_minor
    return amounts if left_minor == 0 else None


def _most(left_minor: int, bound: Bounds, beyond: Iterable[_Stretch]) -> int | None:
    """The most the step may take so that the steps beyond it can make up the rest."""
    possible: list[int] = []
    for low, high in beyond:
        amount_minor = min(bound.max_minor, left_minor - low)
        if amount_minor >= max(bound.min_minor, left_minor - high):
            possible.append(amount_minor)
        if low <= left_minor <= high:
            possible.append(0)
    return max(possible, default=None)


def _reach(bounds: Sequence[Bounds]) -> Sequence[Sequence[_Stretch]]:
    """What the steps from each place on can make up; the last place is beyond them all."""
    reach: list[list[_Stretch]] = [[(0, 0)]]
    for bound in reversed(bounds):
        beyond = reach[-1]
        with_step = [
            (low + bound.min_minor, high + bound.max_minor)
            for low, high in beyond
            if bound.min_minor <= bound.max_minor
        ]
        reach.append(_merged([*beyond, *with_step]))
    return reach[::-1]


def _merged(stretches: Iterable[_Stretch]) -> list[_Stretch]:
    merged: list[_Stretch] = []
    for low, high in sorted(stretches):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged
