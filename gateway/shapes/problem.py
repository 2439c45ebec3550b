"""A problem: why a request was refused or failed, as RFC 9457 has it."""

from typing import NotRequired

from typing_extensions import TypedDict

from gateway.shapes.payment import Payment, ValidationIssue


class FieldError(TypedDict):
    """One field that breaks a rule."""

    field: str
    rule: str
    message: str


class Problem(TypedDict):
    """Programs decide by `code`; `type` and `doc_url` lead to its page; `detail` is for people."""

    type: str
    doc_url: str
    title: str
    status: int
    detail: str
    code: str
    param: str | None
    decline_code: str | None
    request_id: str
    errors: list[FieldError]
    details: dict[str, str]
    validation_issues: list[ValidationIssue]
    payment: NotRequired[Payment]
