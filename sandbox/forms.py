"""Form encoding with nested keys: `card[number]=…&expand[]=…` as a tree and back to one text."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from sandbox.errors import InvalidRequest

Form = dict[str, Any]

_MAX_DEPTH: Final = 10
_MAX_FIELDS: Final = 1_000
_KEY: Final = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_sorted: Final = msgspec.json.Encoder(order="sorted").encode
_SUBKEY: Final = re.compile(r"\[([^\[\]]*)\]")


def parse_form(text: str) -> Form:
    """Read form-encoded text; lists stay dicts of their indexes until a schema says otherwise."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest("The request's parameters are not valid form encoding.") from None
    tree: Form = {}
    for key, value in pairs:
        _insert(tree, _path(key), value, key)
    return tree


def _path(key: str) -> list[str]:
    match = _KEY.match(key)
    path = [] if match is None else [match[1], *_SUBKEY.findall(match[2])]
    if not 0 < len(path) <= _MAX_DEPTH:
        raise InvalidRequest(f"Invalid parameter name: {key[:100]}", param=key[:100])
    return path


def _insert(tree: Form, path: list[str], value: str, key: str) -> None:
    node = tree
    for step in path[:-1]:
        child = node.setdefault(step or str(len(node)), {})
        if not isinstance(child, dict):
            raise InvalidRequest(f"Invalid parameter: {key[:100]} is both a value and an object")
        node = child
    last = path[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise InvalidRequest(f"Invalid parameter: {key[:100]} is both a value and an object")
    node[last] = value


def canonical(form: Form) -> str:
    """The same text for the same parameters, in whatever order they came."""
    return _sorted(form).decode()
