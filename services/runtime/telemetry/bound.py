"""What the work at hand is about: the ids that every log line and span of it carries.

The words live in one context variable as an immutable mapping, so that binding one more copies a
small dict, and a task that is started with a fresh context starts with none.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from services.runtime.telemetry.tracing import annotate

_NOTHING: Mapping[str, str] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("switchyard_bound", default=_NOTHING)


def bound() -> Mapping[str, str]:
    """The words bound here, to be read and never written."""
    return _bound.get()


def bind_context(**words: str | None) -> None:
    """Add words (request_id, merchant_id, payment_id …) to the span and all that is logged now on.

    They last as long as the current task; a word that is None or empty leaves what was there.
    """
    known = {name: value for name, value in words.items() if value}
    _bound.set({**_bound.get(), **known})
    annotate(known)


def begin_context(**words: str) -> None:
    """Start over with these words alone: for the first step of a call, whoever started its task."""
    _bound.set(words)


@contextmanager
def bound_context(**words: str | None) -> Iterator[None]:
    """Bind words for a block alone: for a loop that handles one thing after another."""
    token = _bound.set({**_bound.get(), **{k: v for k, v in words.items() if v}})
    try:
        yield
    finally:
        _bound.reset(token)
