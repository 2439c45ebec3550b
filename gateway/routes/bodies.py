"""Request bodies in their canonical form, as /openapi.json shows them.

Far more than this is read (docs/leniency.md); what is in this form leaves no issue.
"""

from typing import Any, Final

from services.kernel.context import MAX_STEPS, MAX_USER_ID_CHARACTERS
from services.kernel.money import MAX_AMOUNT_MINOR

_AMOUNT: Final = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_AMOUNT_MINOR,
    "description": "Whole minor units: 1250 is 12.50 USD, 1250 JPY or 1.250 KWD.",
}
_CURRENCY: Final = {
    "type": "string",
    "pattern": "^[A-Z]{3}$",
    "description": "An ISO 4217 code; left out, the default of the merchant's configuration.",
}
_METHOD: Final = {"type": "string", "enum": ["card", "apple_pay"]}
_TOKEN: Final = {
    "type": "string",
    "pattern": "^pm_[A-Za-z0-9_]{1,100}$",
    "description": "The processor's token. Card numbers are refused in every field.",
}
_URL: Final = {"type": "string", "format": "uri"}
_REASON: Final = {"type": "string", "maxLength": 500}
_CAPTURE: Final = {"type": "string", "enum": ["automatic", "manual"]}


def _body(properties: dict[str, Any], *required: str, example: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "example": example}
    if required:
        schema["required"] = list(required)
    return schema


PAYMENT: Final = _body(
    {
        "amount": _AMOUNT,
        "currency": _CURRENCY,
        "method": _METHOD,
        "payment_method": _TOKEN,
        "user_id": {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID_CHARACTERS},
        "email": {"type": "string", "format": "email"},
        "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "capture_method": _CAPTURE,
        "metadata": {
            "type": "object",
            "maxProperties": 50,
            "propertyNames": {"minLength": 1, "maxLength": 40},
            "additionalProperties": {"type": "string", "maxLength": 500},
        },
        "steps": {
            "type": "array",
            "maxItems": MAX_STEPS,
            "items": {
                "type": "object",
                "properties": {
                    "method": _METHOD,
                    "max_amount": _AMOUNT,
                    "payment_method": _TOKEN,
                },
                "required": ["method"],
            },
        },
        "split_policy": {"type": "string", "enum": ["all_or_nothing", "partial"]},
        "return_url": _URL,
        "confirm": {"type": "boolean"},
    },
    "amount",
    example={
        "amount": 1250,
        "currency": "USD",
        "method": "card",
        "payment_method": "pm_card_visa",
        "user_id": "user-17",
    },
)
CONFIRMATION: Final = _body(
    {"method": _METHOD, "payment_method": _TOKEN, "return_url": _URL},
    example={"payment_method": "pm_card_visa"},
)
CAPTURE: Final = _body({"amount": _AMOUNT, "currency": _CURRENCY}, example={"amount": 1000})
VOID: Final = _body({"reason": _REASON}, example={"reason": "out of stock"})
REFUND: Final = _body(
    {"amount": _AMOUNT, "currency": _CURRENCY, "reason": _REASON},
    example={"amount": 500, "reason": "returned"},
)
OPERATORS_REFUND: Final = _body(
    {
        "payment_id": {"type": "string"},
        "amount": _AMOUNT,
        "currency": _CURRENCY,
        "reason": _REASON,
    },
    "payment_id",
    example={"payment_id": "pay_018f3c5e7d1c7a2b9c4d5e6f70819203", "amount": 500},
)
_ENTRY: Final = _body(
    {
        "account": {"type": "string"},
        "amount": {"type": "integer", "description": "Signed minor units, never zero."},
        "currency": _CURRENCY,
    },
    "account",
    "amount",
    example={"account": "platform:fees", "amount": 30},
)
LEDGER_TRANSACTION: Final = _body(
    {
        "idempotencyKey": {"type": "string", "minLength": 1, "maxLength": 255},
        "referenceId": {"type": "string", "minLength": 1, "maxLength": 255},
        "currency": _CURRENCY,
        "entries": {"type": "array", "minItems": 2, "items": _ENTRY},
    },
    "referenceId",
    "entries",
    example={
        "idempotencyKey": "correction-17",
        "referenceId": "order-17",
        "currency": "USD",
        "entries": [
            {"account": "platform:fees", "amount": -30},
            {"account": "platform:corrections", "amount": 30},
        ],
    },
)
WEBHOOK: Final = {"type": "object", "description": "The event, byte for byte as Stripe signed it."}
