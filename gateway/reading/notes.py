"""What is remarked while a request is read, and the refusal that comes of it."""

import json
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, NamedTuple, Self

from gateway.reading.rules import RULES, bodies
from gateway.reading.rules.rule import Rule
from services.kernel.context import Severity, ValidationIssue
from services.kernel.errors import FieldViolation, InvalidArgument, Reason
from services.kernel.redaction import redact_field, redact_text

MAX_ISSUES: Final = 100
_MAX_FIELD_CHARACTERS: Final = 120
_MAX_LOOKED_AT_CHARACTERS: Final = 1000
_SECRET: Final = re.compile(r"\b(?:sk|rk|whsec)_\w{4,}|\w+_secret_\w+")


class Refusal(Exception):
    """A request that cannot be given a meaning, with every issue that was found in it.

    The reason and the parameter are those of the first refusing issue.
    """

    def __init__(self, issues: Iterable[ValidationIssue]) -> None:
        self.issues = tuple(issues)
        first = next(issue for issue in self.issues if issue.severity is Severity.ERROR)
        super().__init__(f"{first.field}: {first.message} ({first.rule})")
        self.reason = RULES[first.rule].reason or Reason.INVALID_ARGUMENT
        self.param = first.field
        self.message = first.message

    @classmethod
    def of(cls, rule: Rule, *, message: str = "") -> Self:
        """The refusal of a body of which nothing else can be said."""
        notes = Notes()
        notes.note(rule, "", message=message)
        return cls(notes.issues)

    def as_error(self) -> InvalidArgument:
        """The refusal in the words that every error of the house is told in."""
        return InvalidArgument(
            self.message,
            reason=self.reason,
            violations=[
                FieldViolation(issue.field, issue.rule, issue.message)
                for issue in self.issues
                if issue.severity is Severity.ERROR
            ],
        )


class Notes:
    """The issues of one request, in the order in which they were found."""

    __slots__ = ("_hidden", "_issues")

    def __init__(self, issues: Iterable[ValidationIssue] = ()) -> None:
        self._issues = list(issues)
        self._hidden: set[str] = set()

    def note(
        self,
        rule: Rule,
        field: str,
        raw: object = "",
        coerced: object = "",
        *,
        message: str = "",
    ) -> None:
        """Remark that a rule fired; a message adds what the rule cannot know."""
        if self._hidden and self._is_hidden(field):
            return
        self._issues.append(
            ValidationIssue(
                rule=rule.id,
                severity=rule.severity,
                field=presentable_path(field),
                raw=_presentable(field, raw),
                coerced=_presentable(field, coerced),
                message=f"{rule.meaning} {message}" if message else rule.meaning,
            )
        )

    def hide(self, paths: Collection[str]) -> None:
        """Say nothing more of these fields: they hold card data, and are refused for that."""
        self._hidden.update(paths)

    @property
    def issues(self) -> tuple[ValidationIssue, ...]:
        """What was found so far, at most so much of it as is told."""
        return self._limited()

    def settle(self) -> tuple[ValidationIssue, ...]:
        """The issues, if the request can be given a meaning."""
        if not self._issues:
            return ()
        if any(issue.severity is Severity.ERROR for issue in self._issues):
            raise Refusal(self.issues)
        return self.issues

    def _limited(self) -> tuple[ValidationIssue, ...]:
        if len(self._issues) <= MAX_ISSUES:
            return tuple(self._issues)
        # What refuses comes first: a refusal tells why, however much noise is around it.
        told = sorted(self._issues, key=lambda issue: issue.severity is not Severity.ERROR)
        more = len(told) - MAX_ISSUES + 1
        rule = bodies.ISSUES_MORE
        last = ValidationIssue(
            rule.id, rule.severity, "", "", "", f"{rule.meaning} There are {more} more."
        )
        return (*told[: MAX_ISSUES - 1], last)

    def _is_hidden(self, field: str) -> bool:
        return any(
            field == path
            or field.startswith((f"{path}.", f"{path}["))
            or path.startswith((f"{field}.", f"{field}["))
            for path in self._hidden
        )


class Place(NamedTuple):
    """A value where it was sent, and where to remark on it."""

    notes: Notes
    path: str
    value: object

    def note(self, rule: Rule, coerced: object = "", *, message: str = "") -> None:
        """Remark that a rule fired on this value."""
        self.notes.note(rule, self.path, self.value, coerced, message=message)


def presentable_path(path: str) -> str:
    """The path of a field, short and with nothing in it that must not be shown."""
    # Longer ones are of strangers' making, and would only fill the cache.
    if len(path) > _MAX_FIELD_CHARACTERS:
        safe = _presentable_path(path[:_MAX_LOOKED_AT_CHARACTERS])
        return (
            safe if len(safe) <= _MAX_FIELD_CHARACTERS else safe[: _MAX_FIELD_CHARACTERS - 1] + "…"
        )
    return _known_presentable_path(path)


def _presentable_path(path: str) -> str:
    return _SECRET.sub("[secret]", redact_text(path))


_known_presentable_path: Final = lru_cache(maxsize=1024)(_presentable_path)


def _presentable(field: str, value: object) -> str:
    """The value as text, without secrets; the issue itself takes out card data and shortens it."""
    if isinstance(value, str):
        text = value
    elif value is None or isinstance(value, bool | dict | list):
        text = json.dumps(redact_field(field, value), default=str, ensure_ascii=False)
    else:
        text = str(value)
    # Cut far behind what is shown, so that what is shown was searched as a whole.
    return _SECRET.sub("[secret]", text[:_MAX_LOOKED_AT_CHARACTERS])
