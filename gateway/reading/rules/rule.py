"""What a rule of reading is: a named leniency, or a named refusal."""

from dataclasses import dataclass

from services.kernel.context import Severity
from services.kernel.errors import Reason


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, by the id that issues carry.

    The meaning is what the merchant reads in an issue. The example is a request that the rule
    fires on: the body of POST /payments, or a whole request where it begins with `POST`; in it
    `⟨3 of ab⟩` stands for `ababab`, and `⟨BOM⟩` for a byte order mark. A rule that has a reason
    refuses.
    """

    id: str
    severity: Severity
    meaning: str
    example: str
    reason: Reason | None = None

    @property
    def refuses(self) -> bool:
        """Whether a request on which it fires is refused."""
        return self.reason is not None


def info(rule_id: str, meaning: str, example: str) -> Rule:
    """A rule for an unusual form whose meaning is plain."""
    return Rule(rule_id, Severity.INFO, meaning, example)


def warning(rule_id: str, meaning: str, example: str) -> Rule:
    """A rule that decides a meaning which could have been another."""
    return Rule(rule_id, Severity.WARNING, meaning, example)


def refusal(rule_id: str, meaning: str, example: str, reason: Reason) -> Rule:
    """A rule for what cannot be given a meaning."""
    return Rule(rule_id, Severity.ERROR, meaning, example, reason)
