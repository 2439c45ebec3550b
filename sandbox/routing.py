"""One table of operations: which request does what, with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sandbox.domain.work import Entity, Work
from sandbox.errors import NotFound
from sandbox.parameters import Fields
from sandbox.rows import ListQuery, Page

E = TypeVar("E", bound=Entity)
Pager = Callable[[type[Entity], str, ListQuery], Page]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, understood: the object it names, its parameters, and its unit of work."""

    work: Work
    id: str
    params: dict[str, Any]
    path: str
    api_version: str
    pager: Pager

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the named parameters that the request has."""
        return {name: self.params[name] for name in names if name in self.params}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of a list, with the URL that lists it."""

    page: Page
    url: str


Result = Entity | Listing | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; `path` is resource[/{id}[/action]] under /v1."""

    method: str
    path: str
    operation: str
    schema: Fields
    handle: Callable[[Call], Result]


_ID: Final = "{id}"


class Routes:
    """Finds the operation of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = {(route.method, route.path): route for route in routes}

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The operation and the id in the path ('' if there is none)."""
        steps = path.removeprefix("/v1/").rstrip("/").split("/")
        object_id = steps[1] if len(steps) > 1 else ""
        pattern = "/".join((steps[0], _ID, *steps[2:])) if object_id else steps[0]
        route = self._routes.get((method, pattern))
        if route is None or not path.startswith("/v1/"):
            raise NotFound(f"Unrecognized request URL ({method}: {path[:200]}).")
        return route, object_id
