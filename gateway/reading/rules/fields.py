"""The rules of field names, and of values that are no amount, method or metadata."""

from typing import Final

from gateway.reading.rules.rule import info, refusal, warning
from services.kernel.errors import Reason

SPELLING: Final = info(
    "field.spelling",
    "The field's name is spelled otherwise.",
    '{"amount": 1250, "currency": "USD", "method": "card", "captureMethod": "manual"}',
)
ALIAS: Final = info(
    "field.alias",
    "The field goes by another name here.",
    '{"amount": 1250, "currency": "USD", "method": "card", "customer": "cus_17"}',
)
NESTED: Final = info(
    "field.nested",
    "The field came within an object: send it at the top.",
    '{"payment": {"amount": 1250, "currency": "USD", "method": "card"}}',
)
IN_QUERY: Final = warning(
    "field.in_query",
    "The field came in the query, where proxies log it: send it in the body.",
    'POST /payments?currency=EUR\nIdempotency-Key: order-17\n\n{"amount": 1250, "method": "card"}',
)
UNKNOWN: Final = info(
    "field.unknown",
    "The field is not known here, and was ignored.",
    '{"amount": 1250, "currency": "USD", "method": "card", "colour": "red"}',
)
REPEATED: Final = warning(
    "field.repeated",
    "The same thing was said twice, in fields that agree.",
    '{"amount": 1250, "currency": "USD", "Currency": "usd", "method": "card"}',
)
CONFLICT: Final = refusal(
    "field.conflict",
    "Two fields say the same thing differently, and nothing tells which is meant.",
    '{"amount": 1250, "total": 1350, "currency": "USD", "method": "card"}',
    Reason.INVALID_ARGUMENT,
)
WRONG_TYPE: Final = refusal(
    "field.wrong_type",
    "The value is of a kind that means nothing here.",
    '{"amount": 1250, "currency": "USD", "method": "card", "user_id": [17]}',
    Reason.INVALID_ARGUMENT,
)
MISSING: Final = refusal(
    "field.missing",
    "The field is needed.",
    'POST /refunds\n\n{"reason": "returned"}',
    Reason.INVALID_ARGUMENT,
)
ID_MALFORMED: Final = refusal(
    "id.malformed",
    "The id is not one of the kind that is meant.",
    'POST /refunds\n\n{"payment_id": "order-17"}',
    Reason.ID_MALFORMED,
)

TEXT_FROM_NUMBER: Final = info(
    "text.from_number",
    "A number was taken for the text that it would be.",
    '{"amount": 1250, "currency": "USD", "method": "card", "user_id": 17}',
)
TEXT_TRIMMED: Final = info(
    "text.trimmed",
    "Space around the text was taken off.",
    '{"amount": 1250, "currency": "USD", "method": "card", "user_id": " user-17 "}',
)
TEXT_EMPTY: Final = info(
    "text.empty",
    "An empty text counts as a field that was not sent.",
    '{"amount": 1250, "currency": "USD", "method": "card", "user_id": ""}',
)
TEXT_TOO_LONG: Final = refusal(
    "text.too_long",
    "The text has more characters than the field takes.",
    '{"amount": 1250, "currency": "USD", "method": "card", "user_id": "⟨256 of x⟩"}',
    Reason.INVALID_ARGUMENT,
)
TEXT_CONTROL: Final = refusal(
    "text.control",
    "The text holds a control character.",
    '{"amount": 1250, "currency": "USD", "method": "card", "user_id": "user\\u000717"}',
    Reason.INVALID_ARGUMENT,
)
CHOICE_FORM: Final = info(
    "choice.form",
    "The choice was read from another form.",
    '{"amount": 1250, "currency": "USD", "method": "card", "capture_method": "AUTO"}',
)
CHOICE_UNKNOWN: Final = refusal(
    "choice.unknown",
    "The value is not one to choose from.",
    '{"amount": 1250, "currency": "USD", "method": "card", "capture_method": "later"}',
    Reason.INVALID_ARGUMENT,
)
FLAG_FORM: Final = info(
    "flag.form",
    "Yes or no was read from another form: send true or false.",
    '{"amount": 1250, "currency": "USD", "method": "card", "confirm": "true"}',
)
EMAIL_UNUSABLE: Final = warning(
    "email.unusable",
    "That is no e-mail address, and nobody will be told by e-mail.",
    '{"amount": 1250, "currency": "USD", "method": "card", "email": "ann at example"}',
)
RETURN_URL_UNUSABLE: Final = warning(
    "return_url.unusable",
    "That is no http or https address, and the platform's own page is used.",
    '{"amount": 1250, "currency": "USD", "method": "card", "return_url": "shop://thanks"}',
)
COUNTRY_FORM: Final = info(
    "country.form",
    "The country was read from another form: send two capital letters.",
    '{"amount": 1250, "currency": "USD", "method": "card", "country": "de"}',
)
COUNTRY_UNUSABLE: Final = warning(
    "country.unusable",
    "A country is two letters (ISO 3166-1); the payment is routed as one from nowhere.",
    '{"amount": 1250, "currency": "USD", "method": "card", "country": "Germany"}',
)
MERCHANT_NAMED: Final = warning(
    "merchant.named",
    "The API key says who the merchant is, and the name in the body was ignored.",
    '{"amount": 1250, "currency": "USD", "method": "card", "merchant_id": "acme"}',
)
MERCHANT_MISMATCH: Final = refusal(
    "merchant.mismatch",
    "The body names another merchant than the API key.",
    '{"amount": 1250, "method": "card", "merchant_id": "mer_019aa5a0000070008000000000000009"}',
    Reason.INVALID_ARGUMENT,
)
PLAN_UNKNOWN: Final = refusal(
    "plan.unknown",
    "There is no such billing plan.",
    '{"user_id": "user-17", "plan_id": "gold", "payment_method_id": "pm_card_visa"}',
    Reason.INVALID_ARGUMENT,
)
