"""The rules of amounts and currencies."""

from typing import Final

from gateway.reading.rules.rule import info, refusal, warning
from services.kernel.errors import Reason

MISSING: Final = refusal(
    "amount.missing",
    "There is no amount: send it in minor units, such as 1250 for 12.50 USD.",
    '{"currency": "USD", "method": "card"}',
    Reason.AMOUNT_MISSING,
)
DIGITS: Final = warning(
    "amount.digits",
    "Digits alone, sent as text, count minor units: send them as a number.",
    '{"amount": "10", "currency": "USD", "method": "card"}',
)
DECIMAL: Final = warning(
    "amount.decimal",
    "A number with a decimal point or an exponent counts major units: send whole minor units.",
    '{"amount": 12.5, "currency": "USD", "method": "card"}',
)
WRITTEN: Final = info(
    "amount.written",
    "An amount written for people counts major units: send whole minor units.",
    '{"amount": "1.234,56 €", "currency": "EUR", "method": "card"}',
)
GROUPING: Final = warning(
    "amount.grouping",
    "One separator before exactly three digits was taken for what it is in that currency: "
    "decimals where it has three, thousands otherwise.",
    '{"amount": "1.234 KWD", "currency": "KWD", "method": "card"}',
)
CURRENCY_WITHIN: Final = info(
    "amount.currency_within",
    "The currency was taken from the amount, since no field names one.",
    '{"amount": "12,50 EUR", "method": "card"}',
)
SYMBOL_AMBIGUOUS: Final = warning(
    "amount.symbol_ambiguous",
    "The symbol stands for several currencies, and one was chosen: name the currency.",
    '{"amount": "¥500", "method": "card"}',
)
CURRENCY_WINS: Final = warning(
    "amount.currency_wins",
    "The amount names another currency than the currency field, and the amount's was taken.",
    '{"amount": "$10", "currency": "EUR", "method": "card"}',
)
TWO_CURRENCIES: Final = refusal(
    "amount.two_currencies",
    "The amount itself names two currencies.",
    '{"amount": "€10 USD", "method": "card"}',
    Reason.AMOUNT_INVALID,
)
NESTED: Final = info(
    "amount.nested",
    "The amount came as an object: send amount and currency as two fields.",
    '{"amount": {"value": 1250, "currency": "USD"}, "method": "card"}',
)
UNREADABLE: Final = refusal(
    "amount.unreadable",
    "The amount cannot be read: send whole minor units, such as 1250 for 12.50 USD.",
    '{"amount": "about ten", "currency": "USD", "method": "card"}',
    Reason.AMOUNT_INVALID,
)
TOO_FINE: Final = refusal(
    "amount.too_fine",
    "The amount has more decimals than its currency.",
    '{"amount": "10.005 USD", "method": "card"}',
    Reason.AMOUNT_INVALID,
)
NOT_POSITIVE: Final = refusal(
    "amount.not_positive",
    "The amount must be above zero.",
    '{"amount": 0, "currency": "USD", "method": "card"}',
    Reason.AMOUNT_INVALID,
)
ZERO: Final = refusal(
    "amount.zero",
    "An entry moves something: its amount is not zero.",
    "POST /ledger/transactions\n\n"
    '{"idempotencyKey": "t-1", "referenceId": "order-17", "currency": "USD",\n'
    ' "entries": [{"account": "buyer", "amount": 0}, {"account": "seller", "amount": 970}]}',
    Reason.AMOUNT_INVALID,
)
TOO_LARGE: Final = refusal(
    "amount.too_large",
    "The amount is beyond 9223372036854775807 minor units.",
    '{"amount": 9223372036854775808, "currency": "USD", "method": "card"}',
    Reason.AMOUNT_INVALID,
)
NOT_MINOR: Final = refusal(
    "amount.not_minor",
    "The field's name says minor units, and those are whole.",
    '{"amount_minor": 12.5, "currency": "USD", "method": "card"}',
    Reason.AMOUNT_INVALID,
)

CURRENCY_FORM: Final = info(
    "currency.form",
    "The currency was read from another form: send its ISO 4217 code in capitals.",
    '{"amount": 1250, "currency": "usd", "method": "card"}',
)
CURRENCY_DEFAULT: Final = warning(
    "currency.default",
    "No currency was sent, and the default of the merchant's configuration was taken.",
    '{"amount": 1250, "method": "card"}',
)
CURRENCY_LEDGER_DEFAULT: Final = info(
    "currency.ledger_default",
    "Neither the transaction nor the entry names a currency, and USD was taken.",
    "POST /ledger/transactions\n\n"
    '{"idempotencyKey": "t-1", "referenceId": "order-17",\n'
    ' "entries": [{"account": "buyer", "amount": -970}, {"account": "seller", "amount": 970}]}',
)
CURRENCY_MISSING: Final = refusal(
    "currency.missing",
    "No currency was sent, and the merchant's configuration has no default.",
    '{"amount": 1250, "method": "card"}',
    Reason.CURRENCY_UNKNOWN,
)
CURRENCY_UNKNOWN: Final = refusal(
    "currency.unknown",
    "The currency is not one of ISO 4217 that can be paid in.",
    '{"amount": 1250, "currency": "XYZ", "method": "card"}',
    Reason.CURRENCY_UNKNOWN,
)
CURRENCY_AMBIGUOUS: Final = refusal(
    "currency.ambiguous",
    "The symbol stands for several currencies, and nothing says which: name the currency.",
    '{"amount": "100 kr", "method": "card"}',
    Reason.CURRENCY_UNKNOWN,
)
CURRENCY_OF_ANOTHER: Final = refusal(
    "currency.not_the_payments",
    "The currency is not that of the payment.",
    "POST /payments/pay_018f3c5e7d1c7a2b9c4d5e6f70819203/refund\n\n"
    '{"amount": 500, "currency": "EUR"}',
    Reason.INVALID_ARGUMENT,
)
