"""Which steps are left for a routing rule, once those before it have taken theirs.

The steps that rules can tell apart are finitely many, once every value that no rule names counts as
one. So what a rule matches is a box: for each thing that rules look at, the set of its values that
fit. A rule can never match when the boxes of the rules before it cover its own.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from services.kernel.context import CardNetwork, PaymentMethod
from services.merchant_config.domain.settings import AmountBand, RouteMatch

# Boxes that are cut from one another can multiply; past this, rules count as ones that can match.
_COMPARISONS_MAX: Final = 20_000

Box = tuple[frozenset[object], ...]

_AMOUNTS_SIDE: Final = 3

# What no rule names, and what a request leaves open.
_OTHER: Final = None


class Reach:
    """The steps that the rules of one configuration tell apart."""

    def __init__(self, matches: Sequence[RouteMatch], methods: Iterable[PaymentMethod]) -> None:
        self._comparisons_left = _COMPARISONS_MAX
        self._methods = frozenset(methods)
        self._countries = frozenset({_OTHER, *(c for match in matches for c in match.countries)})
        self._cuts = _cuts(matches)
        self._currencies = frozenset(
            {_OTHER, *self._cuts, *(c for match in matches for c in match.currencies)}
        )
        self._metadata: dict[str, set[str | None]] = {}
        for match in matches:
            for key, value in match.metadata.items():
                self._metadata.setdefault(key, {_OTHER}).add(value)

    def box(self, match: RouteMatch) -> Box:
        """What the match fits; an empty side means that it fits nothing."""
        networks: frozenset[object] = frozenset({_OTHER, *CardNetwork})
        return (
            self._methods & frozenset(match.methods or self._methods),
            frozenset(match.card_networks) or networks,
            frozenset(match.countries) or self._countries,
            frozenset(self._amounts(match)),  # at _AMOUNTS_SIDE
            *(
                frozenset({match.metadata[key]} if key in match.metadata else values)
                for key, values in self._metadata.items()
            ),
        )

    def is_covered(self, box: Box, by: Sequence[Box]) -> bool:
        """Whether nothing is left of a box when all the others are taken away.

        One piece is followed to its end before the next, since the first that outlasts all the
        others is the answer.
        """
        pieces = [(box, 0)]
        while pieces:
            piece, place = pieces.pop()
            if place == len(by) or not self._comparisons_left:
                return False
            self._comparisons_left -= 1
            pieces += [(rest, place + 1) for rest in _without(piece, by[place])]
        return True

    def _amounts(self, match: RouteMatch) -> Iterable[tuple[str | None, int]]:
        """Each currency that fits, with each stretch of its amounts that does."""
        for currency in match.currencies or self._currencies:
            cuts = self._cuts.get(currency, []) if currency is not None else []
            first, beyond = _stretches(match.amount_band, currency, cuts)
            yield from ((currency, stretch) for stretch in range(first, beyond))


def is_empty(box: Box) -> bool:
    """Whether a box holds no step at all."""
    return not all(box)


def overlaps(one: Box, other: Box) -> bool:
    """Whether some step lies in both boxes."""
    return not any(mine.isdisjoint(theirs) for mine, theirs in zip(one, other, strict=True))


def differ_in_amounts_alone(one: Box, other: Box) -> bool:
    """Whether two boxes that hold different amounts are alike in all else."""
    return all(
        mine == theirs
        for side, (mine, theirs) in enumerate(zip(one, other, strict=True))
        if side != _AMOUNTS_SIDE
    )


def _without(box: Box, cover: Box) -> Iterable[Box]:
    if not overlaps(box, cover):
        yield box
        return
    for side, (mine, theirs) in enumerate(zip(box, cover, strict=True)):
        if outside := mine - theirs:
            common = (m & t for m, t in zip(box[:side], cover[:side], strict=True))
            yield (*common, outside, *box[side + 1 :])


def _cuts(matches: Iterable[RouteMatch]) -> dict[str, list[int]]:
    """The amounts of each currency at which some band begins or ends."""
    cuts: dict[str, set[int]] = {}
    for match in matches:
        band = match.amount_band
        for bound in (band.from_amount, band.below_amount) if band else ():
            if bound is not None:
                cuts.setdefault(bound.currency.code, set()).add(bound.amount_minor)
    return {currency: sorted(amounts) for currency, amounts in cuts.items()}


def _stretches(
    band: AmountBand | None, currency: str | None, cuts: Sequence[int]
) -> tuple[int, int]:
    """The first stretch between cuts that lies in the band, and the first beyond it."""
    first, beyond = 0, len(cuts) + 1
    for bound in (band.from_amount, band.below_amount) if band else ():
        if bound is not None and bound.currency.code != currency:
            return 0, 0
    if band and band.from_amount:
        first = bisect_left(cuts, band.from_amount.amount_minor) + 1
    if band and band.below_amount:
        beyond = bisect_left(cuts, band.below_amount.amount_minor) + 1
    return first, beyond
