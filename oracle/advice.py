"""What each of the oracle's findings means, and what an operator does about it.

A rule is named by a family and a word; a family's advice holds for its rules that have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_EXPLAIN: Final = "See the payment's whole story: payment-cli explain <payment>."
_CORRECT: Final = (
    "Compare payment-cli explain <payment> with the processor's own page; what the books lack is"
    " posted by hand (payment-cli ledger post), what the customer is owed is refunded."
)
_LEDGER: Final = (
    "Run payment-cli ledger verify, keep the database as it is, and find out who wrote to it past"
    " the services: they cannot write this."
)
_WORKERS: Final = (
    "See whether payment-cli serve runs with the orchestrator, and what its log says of this"
    " payment; work that nobody has is taken up within seconds of a start."
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What a rule's violation means, and what to do."""

    meaning: str
    action: str


_FAMILIES: Final[Mapping[str, Advice]] = {
    "success": Advice(
        "What a processor took, and what the payment and the books say of it, differ", _CORRECT
    ),
    "hold": Advice("What a processor holds, and what the payment counts on, differ", _CORRECT),
    "return": Advice("What a processor gave back, and what the books say of it, differ", _CORRECT),
    "posting": Advice("What a payment owes to the ledger is not what it is made of", _CORRECT),
    "ledger": Advice("The ledger holds what follows from no payment", _LEDGER),
    "dispute": Advice(
        "What a bank says of a dispute, and what was recorded of it, differ",
        "See whether its webhooks came (payment-cli webhook-gaps, webhook-status --failed); what"
        " is missing is fetched by payment-cli webhook-gaps --backfill.",
    ),
    "headroom": Advice("More is paid out, or promised, than was taken", _CORRECT),
    "refund": Advice("A refund, and what was kept back or done for it, differ", _EXPLAIN),
    "attempt": Advice("An attempt at a processor was begun and never ended", _WORKERS),
    "doubt": Advice("What is in doubt is not shown as it is", _WORKERS),
    "payment": Advice("Something is to be done for a payment, and nobody does it", _WORKERS),
    "step": Advice("A step is under way, and nothing is being done for it", _WORKERS),
    "state": Advice("A payment's state does not follow from what was done for it", _EXPLAIN),
    "call": Advice("A caller was never told what came of a call", _WORKERS),
    "event": Advice(
        "What happened was not told to those who have to know",
        "See whether messages flow (payment-cli dlq list, the log of the relay and the bus).",
    ),
}
_RULES: Final[Mapping[str, Advice]] = {
    "hold.forgotten": Advice(
        "A customer's money is held for a payment that does not count on it",
        "Release the hold on the processor's own page; its id is the one named here.",
    ),
    "hold.twice": Advice(
        "One attempt held a customer's money more than once",
        "Release all but one of the holds on the processor's own page.",
    ),
    "hold.stranger": Advice(
        "A processor holds money for an attempt that was never recorded here",
        "Ask whether another platform uses the same account; if none does, release the hold.",
    ),
    "return.stranger": Advice(
        "A processor gave money back for an attempt that was never recorded here",
        "Ask whether another platform uses the same account, or which backup was restored.",
    ),
    "success.kept": Advice(
        "Money came too late for its payment and was not given back",
        "Refund it on the processor's own page.",
    ),
    "success.booked": Advice(
        "A processor took money, and it is owed to the ledger not once",
        "See payment-cli explain <payment>; if its posting is gone, post it by hand under the"
        " same key (payment-cli ledger post --idempotency-key capture:step_…).",
    ),
    "posting.captured": Advice("What was captured, and what is owed for it, differ", _CORRECT),
    "posting.refunded": Advice("What was refunded, and what is owed for it, differ", _CORRECT),
    "posting.lost": Advice("A posting counts as booked, and the ledger has it not", _LEDGER),
    "posting.other": Advice("A posting names a transaction that is not its own", _LEDGER),
    "posting.entries": Advice("The ledger has other entries than the payment owes", _LEDGER),
    "posting.pending": Advice(
        "A posting has been waiting for the ledger too long",
        "See whether the ledger answers and the orchestrator runs; it is tried again by itself.",
    ),
    "posting.given_up": Advice(
        "The ledger has not booked this, and nobody tries any more",
        "Mend what the reason says, then payment-cli postings retry --all --reason …",
    ),
    "ledger.not_owed": Advice(
        "The ledger has a transaction about a payment that does not owe it",
        "If somebody posted it by hand, that explains it; else: " + _LEDGER,
    ),
    "dispute.unheard": Advice(
        "A customer disputes a payment, and it was never told here",
        "See payment-cli webhook-status and payment-cli webhook-replay; if the event never came,"
        " it is fetched from the processor's list within minutes.",
    ),
    "dispute.differs": Advice(
        "A bank has decided something about a dispute that is not known here",
        "See payment-cli webhook-status --failed; what never came is fetched within minutes.",
    ),
    "dispute.made_up": Advice(
        "A payment counts as disputed, and the processor knows of no dispute",
        "Ask which account and which backup this database belongs to.",
    ),
    "doubt.too_long": Advice(
        "It has not been known for too long what a processor did",
        "Look on the processor's own page, then payment-cli resolve <payment> --outcome … ",
    ),
    "event.dead": Advice(
        "A consumer gave up on a message, so that what follows from it was not done",
        "See payment-cli dlq list and dlq show, mend the cause, then payment-cli dlq replay.",
    ),
    "event.unpublished": Advice(
        "A message waits to be published",
        "See whether the bus (PostgreSQL or Kafka) answers and a relay runs.",
    ),
    "event.unhandled": Advice(
        "A consumer has not done a message that it was given",
        "See whether the service of that consumer runs, and its log.",
    ),
}


def advice_on(rule: str) -> Advice:
    """What a violation of this rule means, and what to do about it."""
    return _RULES.get(rule) or _FAMILIES[rule.partition(".")[0]]
