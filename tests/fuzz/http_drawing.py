"""Draws HTTP requests by their numbers."""

from tests.fuzz import meaningless, perhaps
from tests.fuzz.http_probes import HttpProbe
from tests.fuzz.probes import OPEN_FROM, Door, Mark, chance_of
from tests.fuzz.world import World


class HttpProbes:
    """Draws requests against one running platform."""

    def __init__(self, seed: int, world: World) -> None:
        self._seed = seed
        self._world = world

    def probe(self, number: int) -> HttpProbe:
        """The request of this number: one that nothing may come of, or one that something may."""
        mark = Mark(Door.HTTP, number)
        chance = chance_of(self._seed, mark)
        if number >= OPEN_FROM:
            kind = chance.choices(*perhaps.WEIGHTS)[0]
            return perhaps.WAYS[kind](self._world, chance, mark)
        kind = chance.choices(*meaningless.WEIGHTS)[0]
        return meaningless.WAYS[kind](self._world, chance, mark)
