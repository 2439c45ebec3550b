"""Permissive reading: what a merchant sent, in whatever shape, made strict. Pure; no I/O.

    body = decode_json(raw)                                # LEDGER_LIMITS for a transaction
    incoming = Incoming(body.values, headers, query, body.issues)
    caller = Caller(merchant_id, api_key_id, default_currency)

    read_payment(incoming, caller, received_at=now)        → PaymentRequest(context, confirm)
    read_confirmation(incoming, caller, payment_id=…)      → ConfirmCommand
    read_capture(incoming, caller, payment_id=…, payment_currency=…)     → CaptureCommand
    read_void(incoming, caller, payment_id=…)              → VoidCommand
    read_refund(incoming, caller, payment_id=…, payment_currency=…)      → RefundCommand
    read_refund_target(incoming)                           → PaymentId, for POST /refunds
    read_ledger_transaction(incoming)                      → LedgerTransactionRequest

Each raises Refusal, and nothing else, with every issue that was found, the reason and the param of
the first that refuses; `Refusal.as_error()` is the same as an InvalidArgument. What is accepted
carries its issues: in the context of a payment, in the `call` of everything else. A field that is
not in its canonical form always leaves one.

An amount of a capture or a refund is read in the currency of the payment, which the caller looks up
first. Each leniency is a rule in RULES, documented in docs/leniency.md.
"""

from gateway.reading.commands import (
    CaptureCommand,
    ConfirmCommand,
    RefundCommand,
    VoidCommand,
    read_capture,
    read_confirmation,
    read_refund,
    read_refund_target,
    read_void,
)
from gateway.reading.decoding import (
    LEDGER_LIMITS,
    PAYMENT_LIMITS,
    BodyLimits,
    DecodedBody,
    decode_json,
)
from gateway.reading.ledger import LedgerEntry, LedgerTransactionRequest, read_ledger_transaction
from gateway.reading.notes import Refusal
from gateway.reading.payment import PaymentRequest, read_payment
from gateway.reading.reading import Call, Caller, Incoming
from gateway.reading.rules import RULES

__all__ = [
    "LEDGER_LIMITS",
    "PAYMENT_LIMITS",
    "RULES",
    "BodyLimits",
    "Call",
    "Caller",
    "CaptureCommand",
    "ConfirmCommand",
    "DecodedBody",
    "Incoming",
    "LedgerEntry",
    "LedgerTransactionRequest",
    "PaymentRequest",
    "RefundCommand",
    "Refusal",
    "VoidCommand",
    "decode_json",
    "read_capture",
    "read_confirmation",
    "read_ledger_transaction",
    "read_payment",
    "read_refund",
    "read_refund_target",
    "read_void",
]
