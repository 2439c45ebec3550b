"""The registry: every rule that can fire while a request is read, each with an example.

docs/leniency.md shows the same rules to merchants; a test holds the two together.
"""

from collections.abc import Mapping
from typing import Final

from gateway.reading.rules import amounts, bodies, fields, payments
from gateway.reading.rules.rule import Rule

RULES: Final[Mapping[str, Rule]] = {
    rule.id: rule
    for module in (bodies, fields, amounts, payments)
    for rule in vars(module).values()
    if isinstance(rule, Rule)
}
