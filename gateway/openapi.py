"""/openapi.json: what the operations declare, with the schemas of the shapes they answer with."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from gateway.operations import Operation, Parameter, Success
from gateway.problems import MEDIA_TYPE
from gateway.shapes.problem import Problem

_REF: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = (
    "Payments, planned, routed, carried out and booked. Bodies are shown in their canonical form;"
    " far more is read, and what was guessed is told in `validation_issues`."
)
_PROBLEM_MEANINGS: Final = {
    400: "A field breaks a rule; `param` names the first.",
    401: "The API key is missing or not taken.",
    402: "The payment was declined; `payment` holds it.",
    403: "The key, or the merchant's standing, does not allow that.",
    404: "There is nothing here that you may see.",
    409: "The state of things does not allow that, or the first call with the key still runs.",
    413: "The body is too large.",
    422: "The key was used with another request, or no plan can be made of this one.",
    429: "The limit is used up for now; `Retry-After` says until when.",
    500: "The platform is at fault.",
    503: "Something that this needs is away or busy; `Retry-After` says when to come back.",
    504: "It is not decided yet; ask again with the same key.",
}
_REPLAYED: Final = {
    "Idempotent-Replayed": {
        "description": "`true` when this is the stored answer of an earlier call.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


class Schemas:
    """The schemas of all shapes, by name, each worked out once."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        shapes: dict[Any, None] = {Problem: None}
        for operation in operations:
            shapes.update(dict.fromkeys(each.shape for each in operation.successes.values()))
        inputs: list[Any] = [(shape, "serialization", TypeAdapter(shape)) for shape in shapes]
        by_shape, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REF)
        self.components: Mapping[str, Any] = definitions.get("$defs", {})
        self._by_shape = {shape: schema for (shape, _), schema in by_shape.items()}

    def of(self, shape: Any) -> Mapping[str, Any]:
        return self._by_shape[shape]


def document(
    operations: Iterable[Operation], schemas: Schemas, *, version: str, base_url: str
) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Switchyard", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": base_url or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def described(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    """One operation as OpenAPI has it."""
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [_parameter(each) for each in operation.parameters],
        "responses": {
            **{
                str(status): _success(operation, success, schemas)
                for status, success in operation.successes.items()
            },
            **{str(status): _problem(status, schemas) for status in operation.problem_statuses},
        },
        "security": [{"apiKey": []}] if operation.needs_key else [],
    }
    if operation.scope is not None:
        told["description"] = f"Needs the scope `{operation.scope}`."
    if operation.body is not None:
        told["requestBody"] = {
            "required": bool(operation.body.get("required")),
            "content": {operation.body_media_type: {"schema": operation.body}},
        }
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.meaning,
        "schema": parameter.schema,
    }
    if parameter.example is not None:
        told["example"] = parameter.example
    return told


def _success(operation: Operation, success: Success, schemas: Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": success.meaning,
        "content": {success.media_type: {"schema": schemas.of(success.shape)}},
    }
    if operation.method == "POST" and operation.needs_key:
        told["headers"] = _REPLAYED
    return told


def _problem(status: int, schemas: Schemas) -> dict[str, Any]:
    return {
        "description": _PROBLEM_MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": schemas.of(Problem)}},
    }
