"""Every answer that any test gets is held against /openapi.json: status, media type and schema."""

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from gateway.app import OPERATIONS
from gateway.openapi import Schemas, document

if TYPE_CHECKING:
    from tests.gateway.http.stage import Answer

DOCUMENT = document(OPERATIONS, Schemas(OPERATIONS), version="0", base_url="")
_PATHS = [
    (re.compile(re.sub(r"\{\w+\}", "[^/?]+", path.replace("{key}", "{k}"))), path)
    for path in DOCUMENT["paths"]
]


def assert_declared(method: str, path: str, answer: "Answer") -> None:
    """An address that there is none of is not declared; all others say what they may answer."""
    operation = _operation(method, path.split("?", maxsplit=1)[0])
    if operation is None:
        return
    assert str(answer.status) in operation["responses"], f"{method} {path}: {answer.status}"
    ((media_type, content),) = operation["responses"][str(answer.status)]["content"].items()
    assert answer.headers["content-type"] == media_type, answer.text
    if "json" in media_type:
        _validator(json.dumps(content["schema"])).validate(answer.body)


def _operation(method: str, path: str) -> Any:
    for pattern, template in _PATHS:
        if pattern.fullmatch(path):
            return DOCUMENT["paths"][template].get(method.lower())
    return None


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    # By its text, since a dict is no key.
    return jsonschema_rs.validator_for({**json.loads(schema), "components": DOCUMENT["components"]})
