"""How two configurations differ, field by field, in the order of their fields."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeGuard

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Absent:
    """The value of a field that is not there, which null is not."""


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs."""

    path: str
    before: "Json | Absent"
    after: "Json | Absent"


def differences(
    before: "Json | Absent", after: "Json | Absent", path: str = ""
) -> Iterator[Change]:
    """Each leaf that differs; a branch that is new or gone is one change."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in _names(before, after):
            inner = f"{path}.{name}" if path else name
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), inner)
    elif _is_list(before) and _is_list(after):
        for number in range(max(len(before), len(after))):
            yield from differences(
                before[number] if number < len(before) else ABSENT,
                after[number] if number < len(after) else ABSENT,
                f"{path}[{number}]",
            )
    elif before != after:
        yield Change(path, before, after)


def _is_list(value: object) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _names(before: Mapping[str, Json], after: Mapping[str, Json]) -> Sequence[str]:
    """The names of both, each in the place that its own order gives it."""
    names = list(before)
    place = 0
    for name in after:
        if name in before:
            place = names.index(name) + 1
        else:
            names.insert(place, name)
            place += 1
    return names
