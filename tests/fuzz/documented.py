"""HTTP requests that schemathesis makes from the running gateway's own /openapi.json.

They are made first and sent afterwards, as many at a time as all others, so that what hypothesis
draws depends on the seed alone.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode

from tests.fuzz.http_probes import Headers, HttpProbe, in_a_line
from tests.fuzz.probes import Door, Expected, Mark
from tests.fuzz.world import World

AnyCase = Case[Any]

_MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# What HTTP itself needs is said anew; and who calls is not what is tried here.
_OWN: Final = frozenset(
    {"authorization", "connection", "content-length", "host", "transfer-encoding", "request-id"}
)
_OPERATORS: Final = ("/api/v1/refunds", "/api/v1/ledger")


def documented(
    document: Mapping[str, Any], world: World, *, seed: int, count: int
) -> list[HttpProbe]:
    """So many requests, of each operation as many, some as the document says and some not."""
    schema = schemathesis.openapi.from_dict(dict(document))
    operations = [_sound(found) for found in schema.get_all_operations()]
    share = max(1, count // (len(operations) * len(_MODES)))
    cases: list[AnyCase] = []
    for operation in operations:
        for mode in _MODES:
            cases += _cases(operation, mode, seed=seed, count=share)
    return [_probe(case, world, Mark(Door.DOCUMENTED, n)) for n, case in enumerate(cases[:count])]


def _sound(found: Any) -> Any:
    """An operation of the document; raises for one that is not as OpenAPI has it."""
    return found.ok()


def _cases(operation: Any, mode: GenerationMode, *, seed: int, count: int) -> list[AnyCase]:
    found: list[AnyCase] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def collect(case: AnyCase) -> None:
        found.append(case)

    try:
        collect()
    except Unsatisfiable:
        # Of an operation without parameters there is nothing to get wrong.
        return []
    return found[:count]


def _probe(case: AnyCase, world: World, mark: Mark) -> HttpProbe:
    """The request as the bytes that a client would send."""
    sent = case.as_transport_kwargs(base_url="http://127.0.0.1")
    body = json.dumps(sent["json"]).encode() if "json" in sent else sent.get("data")
    url = httpx.URL(sent["url"], params=sent.get("params") or None)
    is_operators = url.path.startswith(_OPERATORS)
    key = world.admin_key if is_operators else world.api_key
    headers: Headers = (
        ("Authorization", f"Bearer {key}"),
        ("Request-Id", mark.request_id),
        *(
            in_a_line(name, str(value))
            for name, value in (sent.get("headers") or {}).items()
            if name.lower() not in _OWN and _TOKEN.fullmatch(name)
        ),
    )
    return HttpProbe(
        mark=mark,
        kind=f"{case.operation.method} {case.operation.path}",
        expected=Expected.ANSWERED,
        method=case.method.upper(),
        target=url.raw_path.decode("ascii"),
        headers=headers,
        body=body.encode() if isinstance(body, str) else body,
    )
