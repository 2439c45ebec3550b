"""The application: every operation behind one wrapper, and the pages that describe them.

FastAPI routes and assembles. Its own parsing of requests is passed by, since what merchants send is
read permissively and exactly once, by `gateway.reading`, and that costs a third of what it would.
"""

from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from gateway.exchange import Exchange, conduct
from gateway.means import Means
from gateway.openapi import Schemas, described, document
from gateway.operations import Operation
from gateway.routes import health, idempotency, ledger, lists, pages, payments, refunds, webhooks
from gateway.told import Told

OPERATIONS: Final[tuple[Operation, ...]] = (
    *payments.OPERATIONS,
    *lists.OPERATIONS,
    *refunds.OPERATIONS,
    *idempotency.OPERATIONS,
    *ledger.OPERATIONS,
    *webhooks.OPERATIONS,
    *health.OPERATIONS,
)
_NO_ROUTE: Final = "unmatched"
_METHOD_NOT_ALLOWED: Final = 405


class _PlainRoute(APIRoute):
    """A route whose endpoint takes the request as it came, and answers it itself."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def build_app(means: Means, *, base_url: str = "") -> FastAPI:
    """The gateway as an ASGI application."""
    app = FastAPI(
        title="Switchyard",
        version=version("switchyard"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Spans and metrics are made in `conduct`, once.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = _PlainRoute
    schemas = Schemas(OPERATIONS)
    for operation in OPERATIONS:
        _add(app, operation, schemas, means)
    specification = document(OPERATIONS, schemas, version=app.version, base_url=base_url)
    app.openapi = lambda: specification  # type: ignore[method-assign]  # FastAPI's own way
    for page in pages.operations(orjson.dumps(specification)):
        _add(app, page, None, means)
    _catch_the_rest(app, means)
    return app


def _add(app: FastAPI, operation: Operation, schemas: Schemas | None, means: Means) -> None:
    async def endpoint(request: Request) -> Response:
        exchange = Exchange(request, means, operation.path)
        return await conduct(
            exchange, operation.scope, operation.answer, needs_key=operation.needs_key
        )

    app.add_api_route(
        operation.path,
        endpoint,
        methods=[operation.method],
        name=operation.name,
        response_model=None,
        include_in_schema=schemas is not None,
        openapi_extra=None if schemas is None else described(operation, schemas),
    )


def _catch_the_rest(app: FastAPI, means: Means) -> None:
    """Addresses and methods that there are none of are told so as problems too."""

    async def told_otherwise(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "it is registered for those"

        async def answer(exchange: Exchange) -> Told:
            if error.status_code == _METHOD_NOT_ALLOWED:
                return means.problems.of_method(_allowed(app, request), exchange.request_id)
            return means.problems.of_address(exchange.request_id)

        return await conduct(Exchange(request, means, _NO_ROUTE), None, answer, needs_key=False)

    app.add_exception_handler(HTTPException, told_otherwise)


def _allowed(app: FastAPI, request: Request) -> str:
    """The methods that the address of a request takes."""
    routes = (route for route in app.routes if isinstance(route, APIRoute))
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in here for method in route.methods or ()}))
