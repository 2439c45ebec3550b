"""What a ledger transaction is: at least two legs, none of them zero, summing to zero per currency.

A draft that can be made is a draft that may be written: every rule is checked here, all at once, so
that a refusal names each field that broke one. The database checks the same again.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Self

from services.kernel.errors import Conflict, FieldViolation, InvalidArgument, Reason
from services.kernel.events import DomainEvent
from services.kernel.ids import LedgerEntryId, LedgerTransactionId
from services.kernel.money import Money
from services.kernel.redaction import find_card_numbers

MAX_ENTRIES: Final = 10_000
MAX_KEY_LENGTH: Final = 255
MAX_REFERENCE_LENGTH: Final = 255
MAX_ACCOUNT_LENGTH: Final = 255

MAX_LEG_MINOR: Final = 10**15
"""So large that no real payment reaches it, so small that a few of them overflow no account."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+)*", re.ASCII)
_ACCOUNT_RULE: Final = "must be words of letters, digits, '_', '-' and '.', joined by ':'"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@lru_cache(maxsize=65_536)
def is_account(name: str) -> bool:
    """Whether the name keeps to the grammar; remembered, for a few names take most of the legs."""
    return len(name) <= MAX_ACCOUNT_LENGTH and _ACCOUNT.fullmatch(name) is not None


def require_account(name: str) -> None:
    """Refuse to look for what cannot exist: a misspelt name is no account that holds nothing."""
    if not is_account(name):
        raise InvalidArgument(
            f"the account {_ACCOUNT_RULE}",
            reason=Reason.ACCOUNT_MALFORMED,
            violations=[FieldViolation("account", "account.grammar", _ACCOUNT_RULE)],
        )


def require_reference(text: str) -> None:
    """Refuse to look for what no transaction can be about."""
    violation = _text_violation("reference_id", text, MAX_REFERENCE_LENGTH)
    if violation is not None:
        raise InvalidArgument("the reference cannot exist", violations=[violation])


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

    def differences(self, other: "TransactionDraft | Transaction") -> tuple[str, ...]:
        """The fields in which two bodies under one key differ."""
        differing = []
        if self.reference_id != other.reference_id:
            differing.append("reference_id")
        if len(self.entries) != len(other.entries):
            differing.append("entries")
        others: Sequence[EntryDraft | Entry] = other.entries
        for number, (mine, theirs) in enumerate(zip(self.entries, others, strict=False)):
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
            violation = _text_violation(field, text, longest)
            if violation is not None:
                yield violation

    def _entry_violations(self) -> Iterator[FieldViolation]:
        if not 2 <= len(self.entries) <= MAX_ENTRIES:
            yield FieldViolation("entries", "entries.count", f"must be 2 to {MAX_ENTRIES}")
            return
        for number, entry in enumerate(self.entries):
            if not is_account(entry.account):
                yield FieldViolation(
                    f"entries[{number}].account",
                    "account.grammar",
                    _ACCOUNT_RULE,
                )
            if entry.amount.is_zero:
                yield FieldViolation(
                    f"entries[{number}].amount", "amount.not_zero", "must not be zero"
                )
            elif abs(entry.amount.amount_minor) > MAX_LEG_MINOR:
                yield FieldViolation(
                    f"entries[{number}].amount",
                    "amount.range",
                    f"at most {MAX_LEG_MINOR} minor units, gained or lost",
                )

    def _totals(self) -> Mapping[str, int]:
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

    @classmethod
    def written(cls, draft: TransactionDraft, posted: "Posted") -> Self:
        """What a draft has just become; its entries share its moment."""
        entries = tuple(
            Entry(entry_id, posted.transaction_id, leg.account, leg.amount, posted.created_at)
            for entry_id, leg in zip(posted.entry_ids, draft.entries, strict=True)
        )
        return cls(
            posted.transaction_id,
            draft.reference_id,
            draft.idempotency_key,
            entries,
            posted.created_at,
        )


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
    entry_ids: tuple[LedgerEntryId, ...] = ()
    """The ids of what was just written; a replay names none, for they stand in the journal."""


def key_reused(asked: TransactionDraft, standing: Transaction) -> Conflict:
    """The refusal of a key that already stands for another body."""
    differing = ", ".join(asked.differences(standing))
    message = (
        f"this idempotency key was used before, for {standing.id}, which differs in {differing}"
    )
    return Conflict(
        message,
        reason=Reason.IDEMPOTENCY_KEY_REUSED,
        violations=[FieldViolation("idempotency_key", "idempotency_key.same_body", message)],
        details={"transaction_id": standing.id, "differing_fields": differing},
    )


def _text_violation(field: str, text: str, longest: int) -> FieldViolation | None:
    if not text:
        return FieldViolation(field, f"{field}.present", "must not be empty")
    if len(text) > longest:
        return FieldViolation(field, f"{field}.length", f"at most {longest} characters")
    if _UNPRINTABLE.search(text):
        return FieldViolation(field, f"{field}.printable", "holds a control character")
    if find_card_numbers(text):
        # What is written here is never taken away again.
        return FieldViolation(field, f"{field}.card_number", "holds a card number")
    return None


def _unbalanced(totals: Mapping[str, int]) -> InvalidArgument:
    sums = ", ".join(f"{currency} {total:+d}" for currency, total in sorted(totals.items()))
    message = f"the entries do not sum to zero: {sums}"
    return InvalidArgument(
        message,
        reason=Reason.TRANSACTION_UNBALANCED,
        violations=[FieldViolation("entries", "entries.balanced", message)],
    )
