"""Errors as problems: the status by the reason, the fields by the names that merchants use."""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import grpc
from grpc.aio import AioRpcError

from gateway.kinds import DECLINES, KINDS, METHOD_NOT_ALLOWED, Kind
from gateway.reading import Refusal
from gateway.shapes.payment import Payment, issue_shape
from gateway.shapes.problem import FieldError, Problem
from gateway.told import Told
from services.kernel.errors import NotFound, Reason, SwitchyardError, Unavailable
from services.kernel.redaction import redact_text
from services.runtime.rpc import error_from_rpc

MEDIA_TYPE: Final = "application/problem+json"
DOCUMENTATION_PATH: Final = "/docs/problems"
_RETRY_AFTER: Final = timedelta(seconds=1)
_COME_BACK: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
# The contracts' paths, and what the same thing is called in a merchant's request.
_CONTEXT: Final = re.compile(r"^context\.")
_NAMES: Final = (
    (re.compile(r"^plan\.steps\[0\]\."), ""),
    (re.compile(r"^plan\."), ""),
    (re.compile(r"(^|\.)instrument\.token$"), r"\1payment_method"),
    (re.compile(r"(^|\.)instrument\.(method|network)$"), r"\1\2"),
    (re.compile(r"^page_token$"), "cursor"),
    (re.compile(r"^page_size$"), "limit"),
    (re.compile(r"^entries(.*)\.amount(?:\.\w+)?$"), r"entries\1.amount"),
    (re.compile(r"^idempotency_key$"), "Idempotency-Key"),
)

# What services say of a plan, where it is the merchant's request that lacks something.
_SAID: Final[Mapping[str, str]] = {
    "plan.token.present": "There is nothing to pay with: send the processor's token, such as"
    " pm_card_visa, as payment_method.",
}


class Problems:
    """Makes problems whose links lead to this gateway's own pages."""

    def __init__(self, base_url: str) -> None:
        self._pages = f"{base_url}{DOCUMENTATION_PATH}"

    def of_error(self, error: SwitchyardError, request_id: str) -> Told:
        """What to tell of an error of the family."""
        kind = KINDS[error.reason]
        body = self._problem(kind, error.reason.lower(), request_id)
        # One text for all that is not to be seen: whether it exists is not told.
        if not isinstance(error, NotFound) or kind.status != HTTPStatus.NOT_FOUND:
            body["detail"] = _SAID.get(_first_rule(error)) or redact_text(error.message)
            body["details"] = {name: redact_text(text) for name, text in error.details.items()}
        body["errors"] = [
            _field_error(each.field, each.rule, each.message) for each in error.violations
        ]
        if body["errors"] and kind.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            body["param"] = body["errors"][0]["field"]
        return _told(kind, body, _headers(kind, error))

    def of_refusal(self, refusal: Refusal, request_id: str) -> Told:
        """What to tell of a request that means nothing: every issue that was found in it."""
        told = self.of_error(refusal.as_error(), request_id)
        told.body["param"] = refusal.param or None
        told.body["validation_issues"] = [issue_shape(issue) for issue in refusal.issues]
        return told

    def of_decline(self, payment: Payment, request_id: str) -> Told:
        """What to tell of a payment that came to nothing."""
        error = payment["result"] and payment["result"]["final_error"]
        code = error["code"] if error else "unknown"
        kind = Kind(HTTPStatus.PAYMENT_REQUIRED, DECLINES[code])
        body = self._problem(kind, code, request_id)
        if error:
            body["detail"] = error["user_message"] or kind.title
            body["decline_code"] = error["decline_code"]
        body["payment"] = payment
        return _told(kind, body, {})

    def of_address(self, request_id: str) -> Told:
        """What to tell of an address that there is none of, which is nobody's secret."""
        kind = KINDS[Reason.NOT_FOUND]
        body = self._problem(kind, Reason.NOT_FOUND.lower(), request_id)
        body["detail"] = "There is no such address: /docs lists those that there are."
        return _told(kind, body, {})

    def of_method(self, allowed: str, request_id: str) -> Told:
        """What to tell of a method that an address does not take."""
        body = self._problem(METHOD_NOT_ALLOWED, "method_not_allowed", request_id)
        return _told(METHOD_NOT_ALLOWED, body, {"Allow": allowed})

    def _problem(self, kind: Kind, code: str, request_id: str) -> Problem:
        page = f"{self._pages}#{code}"
        return {
            "type": page,
            "doc_url": page,
            "title": kind.title,
            "status": kind.status,
            "detail": f"{kind.title}.",
            "code": code,
            "param": None,
            "decline_code": None,
            "request_id": request_id,
            "errors": [],
            "details": {},
            "validation_issues": [],
        }


def error_of_call(error: AioRpcError) -> SwitchyardError:
    """The error that a service raised; a service that is not there at all is one to wait for."""
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return Unavailable("the service that does this is not running")
    return error_from_rpc(error)


def merchants_name(path: str) -> str:
    """A field by the name that merchants know it by."""
    path = _CONTEXT.sub("", path)
    for pattern, name in _NAMES:
        path = pattern.sub(name, path)
    return path


def _first_rule(error: SwitchyardError) -> str:
    return error.violations[0].rule if error.violations else ""


def _field_error(field: str, rule: str, message: str) -> FieldError:
    message = _SAID.get(rule) or redact_text(message)
    return {"field": merchants_name(field), "rule": rule, "message": message}


def _headers(kind: Kind, error: SwitchyardError) -> Mapping[str, str]:
    headers = {}
    if kind.status in _COME_BACK or error.reason is Reason.IDEMPOTENCY_IN_FLIGHT:
        wait = error.retry_after or _RETRY_AFTER
        headers["Retry-After"] = str(max(1, math.ceil(wait.total_seconds())))
    if error.reason is Reason.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    return headers


def _told(kind: Kind, body: Problem, headers: Mapping[str, str]) -> "Told":
    return Told(int(kind.status), body, headers, MEDIA_TYPE)
