"""What a ledger transaction is: at least two legs, none of them zero, summing to zero per currency.

A draft that can be made is a draft that may be written: every rule is checked here, all at once, so
that a refusal names each field that broke one. The database checks the same again.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from services.kernel.errors import Conflict, FieldViolation, InvalidArgument, Reason
from services.kernel.events import DomainEvent
from services.kernel.ids import LedgerEntryId, LedgerTransactionId
from services.kernel.money import Money

MAX_ENTRIES: Final = 10_000
MAX_KEY_LENGTH: Final = 255
MAX_REFERENCE_LENGTH: Final = 255
MAX_ACCOUNT_LENGTH: Final = 255

_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+)*", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@lru_cache(maxsize=65_536)
def is_account(name: str) -> bool:
    """Whether the name keeps to the grammar; remembered, for a few names take most of the legs."""
    return len(name) <= MAX_ACCOUNT_LENGTH and _ACCOUNT.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """One leg before it is written: what an account gains, or loses when negative."""

    account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class TransactionDraft:
    """A transaction as asked for; making one refuses whatever may not be written."""

    idempotency_key: str
    reference_id: str
    entries: tuple[EntryDraft, ...]

    def __post_init__(self) -> None:
        violations = [*self._text_violations(), *self._entry_violations()]
        if violations:
            raise InvalidArgument(
                "the transaction breaks a rule of the ledger", violations=violations
            )
        unbalanced = {currency: total for currency, total in self._totals().items() if total}
        if unbalanced:
            raise _unbalanced(unbalanced)

    @property
    def fingerprint(self) -> bytes:
        """What the idempotency key stands for: the same body has the same, whatever its key."""
        lines = [self.reference_id]
        lines += (
            f"{entry.account} {entry.amount.amount_minor} {entry.amount.currency.code}"
            for entry in self.entries
        )
        return hashlib.sha256("\n".join(lines).encode()).digest()

    def differences(self, other: "TransactionDraft") -> tuple[str, ...]:
        """The fields in which the bodies of two drafts under one key differ."""
        differing = []
        if self.reference_id != other.reference_id:
            differing.append("reference_id")
        if len(self.entries) != len(other.entries):
            differing.append("entries")
        for number, (mine, theirs) in enumerate(zip(self.entries, other.entries, strict=False)):
            if mine.account != theirs.account:
                differing.append(f"entries[{number}].account")
            if mine.amount.amount_minor != theirs.amount.amount_minor:
                differing.append(f"entries[{number}].amount.amount_minor")
            if mine.amount.currency != theirs.amount.currency:
                differing.append(f"entries[{number}].amount.currency")
        return tuple(differing)

    def _text_violations(self) -> Iterator[FieldViolation]:
        for field, text, longest in (
            ("idempotency_key", self.idempotency_key, MAX_KEY_LENGTH),
            ("reference_id", self.reference_id, MAX_REFERENCE_LENGTH),
        ):
            if not text:
                yield FieldViolation(field, f"{field}.present", "must not be empty")
            elif len(text) > longest:
                yield FieldViolation(field, f"{field}.length", f"at most {longest} characters")
            elif _UNPRINTABLE.search(text):
                yield FieldViolation(field, f"{field}.printable", "holds a control character")

    def _entry_violations(self) -> Iterator[FieldViolation]:
        if not 2 <= len(self.entries) <= MAX_ENTRIES:
            yield FieldViolation("entries", "entries.count", f"must be 2 to {MAX_ENTRIES}")
            return
        for number, entry in enumerate(self.entries):
            if not is_account(entry.account):
                yield FieldViolation(
                    f"entries[{number}].account",
                    "account.grammar",
                    "must be words of letters, digits, '_', '-' and '.', joined by ':'",
                )
            if entry.amount.is_zero:
                yield FieldViolation(
                    f"entries[{number}].amount", "amount.not_zero", "must not be zero"
                )

    def _totals(self) -> Mapping[str, int]:
        # Python integers, on purpose: entries that overflow 64 bits on the way still sum rightly.
        totals: dict[str, int] = defaultdict(int)
        for entry in self.entries:
            totals[entry.amount.currency.code] += entry.amount.amount_minor
        return totals


@dataclass(frozen=True, slots=True)
class Entry:
    """One leg as it stands in the journal."""

    id: LedgerEntryId
    transaction_id: LedgerTransactionId
    account: str
    amount: Money
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Transaction:
    """A balanced set of entries, written at one moment, never changed."""

    id: LedgerTransactionId
    reference_id: str
    idempotency_key: str
    entries: tuple[Entry, ...]
    created_at: datetime

    @property
    def draft(self) -> TransactionDraft:
        """What was asked for, to compare with what is asked for now."""
        entries = tuple(EntryDraft(entry.account, entry.amount) for entry in self.entries)
        return TransactionDraft(self.idempotency_key, self.reference_id, entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPosted(DomainEvent):
    """A transaction stands in the journal."""

    transaction_id: LedgerTransactionId
    reference_id: str
    idempotency_key: str
    entry_count: int


@dataclass(frozen=True, slots=True)
class Posted:
    """What a writer is told: which transaction stands under the key, and who wrote it."""

    transaction_id: LedgerTransactionId
    created_at: datetime
    replayed: bool


def key_reused(asked: TransactionDraft, standing: Transaction) -> Conflict:
    """The refusal of a key that already stands for another body."""
    differing = ", ".join(asked.differences(standing.draft))
    message = f"the key already stands for {standing.id}, which differs in {differing}"
    return Conflict(
        message,
        reason=Reason.IDEMPOTENCY_KEY_REUSED,
        violations=[FieldViolation("idempotency_key", "idempotency_key.same_body", message)],
        details={"transaction_id": standing.id, "differing_fields": differing},
    )


def _unbalanced(totals: Mapping[str, int]) -> InvalidArgument:
    sums = ", ".join(f"{currency} {total:+d}" for currency, total in sorted(totals.items()))
    message = f"the entries do not sum to zero: {sums}"
    return InvalidArgument(
        message,
        reason=Reason.TRANSACTION_UNBALANCED,
        violations=[FieldViolation("entries", "entries.balanced", message)],
    )
