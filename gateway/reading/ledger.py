"""A ledger transaction as operators send it: camelCase, amounts signed and in minor units."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.reading.amounts import Sign, read_amount, unnest
from gateway.reading.names import Claims, Vocabulary, gather_object
from gateway.reading.notes import Notes
from gateway.reading.picking import pick
from gateway.reading.reading import Call, Incoming, Reading
from gateway.reading.rules import amounts, fields
from gateway.reading.units import CurrencyTerms, Unit, read_currency
from gateway.reading.values import read_text
from services.kernel.money import Currency, Money

MAX_NAME_CHARACTERS: Final = 255
_DEFAULT_CURRENCY: Final = Currency("USD")

_TRANSACTION: Final = Vocabulary(
    canonical={
        "idempotencyKey": "idempotency_key",
        "referenceId": "reference_id",
        "currency": "currency",
        "entries": "entries",
    },
    aliases={"reference": "reference_id", "legs": "entries", "lines": "entries"},
    envelopes=frozenset({"body", "data", "payload", "request", "transaction"}),
)
_ENTRY: Final = Vocabulary(
    canonical={"account": "account", "amount": "amount", "currency": "currency"},
    aliases={"account_name": "account", "amount_minor": "amount", "currency_code": "currency"},
)
_read_name = partial(read_text, max_characters=MAX_NAME_CHARACTERS)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One leg: what an account gains, or loses when negative."""

    account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class LedgerTransactionRequest:
    """A transaction to be posted; whether it balances is for the ledger to say."""

    call: Call
    reference_id: str
    entries: tuple[LedgerEntry, ...]


def read_ledger_transaction(incoming: Incoming) -> LedgerTransactionRequest:
    """The transaction that a request asks for. Raises Refusal."""
    reading = Reading(_TRANSACTION, incoming, None)
    for name in ("reference_id", "entries"):
        if not reading.has(name):
            reading.notes.note(fields.MISSING, _TRANSACTION.key_of(name))
    reference_id = reading.pick("reference_id", _read_name)
    stated = reading.pick("currency", read_currency)
    entries = reading.pick("entries", partial(_read_entries, stated=stated))
    if any(value == "" for _, value in reading.claims.get("reference_id", ())):
        reading.notes.note(fields.MISSING, _TRANSACTION.key_of("reference_id"))
    call = reading.settle()
    assert reference_id is not None, "a transaction about nothing is refused"
    assert entries is not None, "a transaction without entries is refused"
    return LedgerTransactionRequest(call, reference_id, entries)


def _read_entries(
    notes: Notes, path: str, value: object, *, stated: Unit | None
) -> tuple[LedgerEntry, ...] | None:
    if not isinstance(value, list):
        notes.note(fields.WRONG_TYPE, path, value)
        return None
    entries: list[LedgerEntry] = []
    is_currency_missing = False
    for number, inner in enumerate(value):
        entry_path = f"{path}[{number}]"
        if not isinstance(inner, dict):
            notes.note(fields.WRONG_TYPE, entry_path, inner)
            continue
        claims = gather_object(_ENTRY, inner, f"{entry_path}.", notes)
        entry = _read_entry(entry_path, claims, stated, notes)
        is_currency_missing |= "currency" not in claims
        if entry is not None:
            entries.append(entry)
    if is_currency_missing and stated is None:
        notes.note(amounts.CURRENCY_LEDGER_DEFAULT, "currency", "", _DEFAULT_CURRENCY)
    return tuple(entries)


def _read_entry(path: str, claims: Claims, stated: Unit | None, notes: Notes) -> LedgerEntry | None:
    unnest(claims, "amount", notes)
    for name in ("account", "amount"):
        if name not in claims:
            rule = fields.MISSING if name == "account" else amounts.MISSING
            notes.note(rule, f"{path}.{name}")
    account = pick(claims, "account", _read_name, notes)
    terms = CurrencyTerms(
        pick(claims, "currency", read_currency, notes) or stated, _DEFAULT_CURRENCY
    )
    read = partial(read_amount, terms=terms, sign=Sign.NOT_ZERO)
    amount = pick(claims, "amount", read, notes)
    if account is None or amount is None:
        return None
    return LedgerEntry(account, amount)
