"""Requests as text, read as the gateway reads them, and shown as plain values."""

import json
import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from gateway.reading import (
    LEDGER_LIMITS,
    PAYMENT_LIMITS,
    Call,
    Caller,
    CaptureCommand,
    ConfirmCommand,
    Incoming,
    LedgerTransactionRequest,
    PaymentRequest,
    RefundCommand,
    VoidCommand,
    decode_json,
    read_capture,
    read_confirmation,
    read_ledger_transaction,
    read_payment,
    read_refund,
    read_void,
)
from services.kernel.context import PaymentInstrument, ValidationIssue
from services.kernel.ids import ApiKeyId, MerchantId
from services.kernel.money import Currency, Money

Read = (
    PaymentRequest
    | ConfirmCommand
    | CaptureCommand
    | VoidCommand
    | RefundCommand
    | LedgerTransactionRequest
)

USD: Final = Currency("USD")
MERCHANT: Final = MerchantId.of_hex("019aa5a0000070008000000000000001")
CALLER: Final = Caller(MERCHANT, ApiKeyId.of_hex("019aa5a0000070008000000000000002"), USD)
WITHOUT_DEFAULT: Final = Caller(MERCHANT)
PAYMENT_ID: Final = "pay_018f3c5e7d1c7a2b9c4d5e6f70819203"
NOW: Final = datetime(2030, 1, 5, 9, 30, tzinfo=UTC)
KEYED: Final = {"idempotency-key": "order-17"}

_REPEATED = re.compile("⟨(\\d+) of ([^⟩]*)⟩")


def send(text: str, *, caller: Caller = CALLER) -> Read:
    """Read an example: a whole request where it begins with POST, a payment's body otherwise."""
    text = _REPEATED.sub(lambda match: match[2] * int(match[1]), text)
    text = text.replace("⟨BOM⟩", "\ufeff")
    if not text.startswith("POST "):
        return send_payment(text.encode(), caller=caller)
    head, _, body = text.partition("\n\n")
    first, *lines = head.split("\n")
    url = urlsplit(first.removeprefix("POST "))
    headers = dict(line.split(": ", 1) for line in lines)
    return _route(url.path, body.encode(), headers, dict(parse_qsl(url.query)), caller)


def send_payment(
    raw: bytes, *, headers: dict[str, str] | None = None, caller: Caller = CALLER
) -> PaymentRequest:
    """Read a payment that comes under a key of its own."""
    read = _route("/payments", raw, KEYED if headers is None else headers, {}, caller)
    assert isinstance(read, PaymentRequest)
    return read


def _route(
    path: str, raw: bytes, headers: dict[str, str], query: dict[str, str], caller: Caller
) -> Read:
    is_ledger = path.startswith("/ledger/")
    body = decode_json(raw, LEDGER_LIMITS if is_ledger else PAYMENT_LIMITS)
    incoming = Incoming(body.values, headers, query, body.issues)
    if is_ledger:
        return read_ledger_transaction(incoming)
    if path in {"/payments", "/payment_intents"}:
        return read_payment(incoming, caller, received_at=NOW)
    if path == "/refunds":
        return read_refund(incoming, caller, payment_id=None, payment_currency=USD)
    _, _, payment_id, operation = path.split("/")
    return _command(operation, incoming, caller, payment_id)


def _command(operation: str, incoming: Incoming, caller: Caller, payment_id: str) -> Read:
    match operation:
        case "confirm":
            return read_confirmation(incoming, caller, payment_id=payment_id)
        case "void":
            return read_void(incoming, caller, payment_id=payment_id)
        case "capture":
            return read_capture(incoming, caller, payment_id=payment_id, payment_currency=USD)
        case "refund":
            return read_refund(incoming, caller, payment_id=payment_id, payment_currency=USD)
        case _:
            raise AssertionError(operation)


def issues_of(read: Read) -> tuple[ValidationIssue, ...]:
    """What was remarked on a request that was accepted."""
    return read.context.issues if isinstance(read, PaymentRequest) else read.call.issues


def shown(read: Read) -> dict[str, object]:
    """What was read, in the words of the canonical request; what was not said is left out."""
    match read:
        case PaymentRequest():
            values = _payment_shown(read)
        case LedgerTransactionRequest():
            entries = [
                {"account": entry.account, **_money_shown(entry.amount)} for entry in read.entries
            ]
            values = {**_call_shown(read.call), "referenceId": read.reference_id}
            values["entries"] = entries
        case CaptureCommand():
            values = {**_call_shown(read.call), **_money_shown(read.amount)}
        case RefundCommand():
            values = {**_call_shown(read.call), **_money_shown(read.amount), "reason": read.reason}
        case VoidCommand():
            values = {**_call_shown(read.call), "reason": read.reason}
        case ConfirmCommand():
            instrument = _instrument_shown(read.instrument) if read.instrument else {}
            values = {**_call_shown(read.call), **instrument, "return_url": read.return_url}
    if not isinstance(read, PaymentRequest | LedgerTransactionRequest):
        values["payment_id"] = read.payment_id
    said = {name: value for name, value in values.items() if value not in (None, {}, [])}
    plain: dict[str, object] = json.loads(json.dumps(said))
    return plain


def _payment_shown(read: PaymentRequest) -> dict[str, object]:
    context = read.context
    names = ("split_policy", "capture_method", "user_id", "email", "country", "return_url")
    return {
        "idempotency_key": context.idempotency_key,
        **_money_shown(context.amount),
        **_instrument_shown(context.instrument),
        **{name: getattr(context, name) for name in names},
        "metadata": dict(context.metadata),
        "steps": [
            {
                **_instrument_shown(step.instrument),
                "max_amount": step.max_amount.amount_minor if step.max_amount else None,
            }
            for step in context.steps
        ],
        "confirm": read.confirm,
    }


def _call_shown(call: Call) -> dict[str, object]:
    return {"idempotency_key": call.idempotency_key}


def _money_shown(amount: Money | None) -> dict[str, object]:
    if amount is None:
        return {}
    return {"amount": amount.amount_minor, "currency": amount.currency.code}


def _instrument_shown(instrument: PaymentInstrument) -> dict[str, object]:
    values = {
        "method": instrument.method,
        "payment_method": instrument.token,
        "network": instrument.network,
    }
    return {name: value for name, value in values.items() if value is not None}
