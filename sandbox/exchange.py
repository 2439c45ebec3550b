"""One request on its way through the sandbox, and the line it leaves in the record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sandbox.errors import StripeError
from sandbox.faults import Fault
from sandbox.forms import Form, canonical
from sandbox.routing import Route
from sandbox.rows import Attempt
from sandbox.wire import Request

_LIKE_A_CARD_NUMBER: Final = re.compile(r"^[\d -]{12,25}$")
_SECRET_FIELDS: Final = frozenset({"number", "cvc"})


class Outcome(StrEnum):
    """What became of a request."""

    # Done, or refused by the state of things; its key has an answer.
    EXECUTED = "executed"
    # Answered with what its key was answered before.
    REPLAYED = "replayed"
    # Not executed: malformed, not allowed, in conflict, or rate limited.
    REFUSED = "refused"
    # Never executed: a fault swallowed it.
    LOST = "lost"


@dataclass(kw_only=True)
class Exchange:
    """A request and what is found out about it step by step."""

    request: Request
    sequence: int
    request_id: str
    at: int
    account: str = ""
    route: Route | None = None
    object_id: str = ""
    api_version: str = ""
    form: Form = field(default_factory=dict)
    fingerprint: str = ""
    idempotency_key: str | None = None
    fault: Fault | None = None
    outcome: Outcome = Outcome.REFUSED
    error: StripeError | None = None
    original_request: str | None = None

    def attempt(self, status: int | None) -> Attempt:
        """The line in the record."""
        return Attempt(
            sequence=self.sequence,
            request_id=self.request_id,
            account=self.account or None,
            at=self.at,
            method=self.request.method,
            path=self.request.path,
            operation=None if self.route is None else self.route.operation,
            idempotency_key=self.idempotency_key,
            parameters=canonical(_without_card_data(self.form)),
            outcome=self.outcome,
            status=status,
            error_code=None if self.error is None else self.error.code or self.error.type,
            object_id=self.object_id or None,
            fault=None if self.fault is None else self.fault.strikes,
        )


def _without_card_data(form: Form) -> Form:
    return {name: _redacted(name, value) for name, value in form.items()}


def _redacted(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _without_card_data(value)
    if name in _SECRET_FIELDS or _LIKE_A_CARD_NUMBER.match(value):
        return "[redacted]"
    return value
