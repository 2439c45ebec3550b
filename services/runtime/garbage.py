"""Python's garbage collector, told what kind of a program this is."""

import gc
from typing import Final

_OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000


def calm_garbage_collection() -> None:
    """Look for cycles seldom, and never among what was there from the start.

    A batch makes tens of thousands of short-lived objects and no cycles; at the default the
    collector walks them over and over for nothing, at a fifth of the throughput.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 50)
