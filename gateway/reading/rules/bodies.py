"""The rules of the body as a whole, of card data in it, and of the keys that go with it."""

from typing import Final

from gateway.reading.rules.rule import info, refusal, warning
from services.kernel.errors import Reason

MALFORMED: Final = refusal(
    "body.malformed",
    "The body is not JSON in UTF-8.",
    '{"amount": 1250, "currency": "US',
    Reason.BODY_MALFORMED,
)
NOT_FINITE: Final = refusal(
    "body.not_finite",
    "NaN and Infinity are no JSON.",
    '{"amount": NaN, "currency": "USD"}',
    Reason.BODY_MALFORMED,
)
NOT_OBJECT: Final = refusal(
    "body.not_object", "The body is no JSON object.", "[1250]", Reason.BODY_MALFORMED
)
TOO_LARGE: Final = refusal(
    "body.too_large",
    "The body has more bytes than are taken: 65536, or 2097152 for a ledger transaction.",
    '{"amount": 1250, "method": "card", "description": "⟨20000 of long ⟩"}',
    Reason.MESSAGE_TOO_LARGE,
)
TOO_DEEP: Final = refusal(
    "body.too_deep",
    "Objects and lists are nested more than 16 deep.",
    '{"amount": 1250, "metadata": {"a": ⟨20 of [⟩1⟨20 of ]⟩}}',
    Reason.BODY_MALFORMED,
)
TOO_MANY_VALUES: Final = refusal(
    "body.too_many_values",
    "The body holds more values than are taken: 1000, or 50000 for a ledger transaction.",
    '{"amount": 1250, "metadata": {"many": [⟨2000 of 7, ⟩7]}}',
    Reason.BODY_MALFORMED,
)
BYTE_ORDER_MARK: Final = info(
    "body.byte_order_mark",
    "The body begins with a byte order mark, which was passed over.",
    '⟨BOM⟩{"amount": 1250, "currency": "USD", "method": "card"}',
)
KEY_REPEATED: Final = warning(
    "body.key_repeated",
    "An object has the same key twice with the same value.",
    '{"amount": 1250, "currency": "USD", "method": "card", "amount": 1250}',
)
KEY_CONFLICT: Final = refusal(
    "body.key_conflict",
    "An object has the same key twice with different values.",
    '{"amount": 1250, "currency": "USD", "method": "card", "amount": 1350}',
    Reason.BODY_MALFORMED,
)
TEXT_UNUSABLE: Final = refusal(
    "body.text_unusable",
    "A text holds a NUL or half of a surrogate pair, which cannot be stored.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"note": "a\\u0000b"}}',
    Reason.BODY_MALFORMED,
)
CONTENT_TYPE: Final = info(
    "body.content_type",
    "The Content-Type says something else than JSON in UTF-8, and the body was read as that.",
    "POST /payments\nIdempotency-Key: order-17\nContent-Type: text/plain\n\n"
    '{"amount": 1250, "currency": "USD", "method": "card"}',
)
ISSUES_MORE: Final = info(
    "issues.more",
    "There are more issues than are told; repair these first.",
    '{"amount": 1250, "currency": "USD", "method": "card"⟨200 of , "colour": "red"⟩}',
)

CARD_NUMBER: Final = refusal(
    "card.number",
    "A card number is never accepted, in no field: send the processor's token instead.",
    '{"amount": 1250, "method": "card", "metadata": {"note": "card 4242-4242-4242-4242"}}',
    Reason.CARD_NUMBER_PRESENT,
)
CARD_CODE: Final = refusal(
    "card.code",
    "A card's security code is never accepted: send the processor's token instead.",
    '{"amount": 1250, "method": "card", "cvc": "123"}',
    Reason.CARD_NUMBER_PRESENT,
)

KEY_GENERATED: Final = warning(
    "idempotency_key.generated",
    "No Idempotency-Key was sent, so that a retry of this call would be another call; one was "
    "made, and the answer names it.",
    'POST /payments\n\n{"amount": 1250, "currency": "USD", "method": "card"}',
)
KEY_EMPTY: Final = refusal(
    "idempotency_key.empty",
    "The idempotency key is empty.",
    '{"amount": 1250, "currency": "USD", "method": "card", "idempotency_key": ""}',
    Reason.IDEMPOTENCY_KEY_MISSING,
)
KEY_MISMATCH: Final = refusal(
    "idempotency_key.mismatch",
    "The Idempotency-Key header and the key in the body differ.",
    "POST /payments\nIdempotency-Key: order-17\n\n"
    '{"amount": 1250, "currency": "USD", "method": "card", "idempotency_key": "order-18"}',
    Reason.IDEMPOTENCY_KEY_MISMATCH,
)
REQUEST_ID_REPLACED: Final = info(
    "request_id.replaced",
    "The Request-Id is not of the form req_ and a UUIDv7 in hex, and another was made.",
    "POST /payments\nIdempotency-Key: order-17\nRequest-Id: 42\n\n"
    '{"amount": 1250, "currency": "USD", "method": "card"}',
)
