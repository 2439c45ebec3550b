"""The rules of methods, splits and metadata."""

from typing import Final

from gateway.reading.rules.rule import info, refusal, warning
from services.kernel.errors import Reason

METHOD_FORM: Final = info(
    "method.form",
    "The method was read from another form: send card or apple_pay.",
    '{"amount": 1250, "currency": "USD", "method": "Apple Pay"}',
)
METHOD_NETWORK: Final = info(
    "method.network",
    "A card network was sent as the method: it is a card of that network.",
    '{"amount": 1250, "currency": "USD", "method": "visa"}',
)
METHOD_WALLET: Final = warning(
    "method.wallet_card",
    "The wallet hands over the token of a card, and it is paid as one.",
    '{"amount": 1250, "currency": "USD", "method": "google pay"}',
)
METHOD_FROM_TOKEN: Final = info(
    "method.from_token",
    "No method was sent, and the token says what it is.",
    '{"amount": 1250, "currency": "USD", "payment_method": "pm_card_visa"}',
)
TOKEN_IN_METHOD: Final = info(
    "method.holds_token",
    "The method holds a payment method's token: send it as payment_method.",
    '{"amount": 1250, "currency": "USD", "method": "pm_card_visa"}',
)
METHOD_IN_TOKEN: Final = info(
    "method.in_payment_method",
    "payment_method names a method instead of a token: send it as method.",
    '{"amount": 1250, "currency": "USD", "payment_method": "card"}',
)
METHOD_NESTED: Final = info(
    "method.nested",
    "The payment method came as an object: send method and payment_method as two fields.",
    '{"amount": 1250, "currency": "USD", "payment_method": {"type": "card", "id": "pm_1"}}',
)
METHOD_DEFAULT: Final = warning(
    "method.default",
    "No method was sent, and card was taken.",
    '{"amount": 1250, "currency": "USD"}',
)
METHOD_SEVERAL: Final = warning(
    "method.first_of_several",
    "Several methods were sent, and the first was taken.",
    '{"amount": 1250, "currency": "USD", "payment_method_types": ["card", "apple_pay"]}',
)
METHOD_FROM_STEPS: Final = info(
    "method.from_steps",
    "No method was sent, and that of the first step was taken.",
    '{"amount": 1250, "currency": "USD", "steps": [{"method": "apple_pay"}]}',
)
METHOD_UNKNOWN: Final = refusal(
    "method.unknown",
    "That is no way to pay here: send card or apple_pay.",
    '{"amount": 1250, "currency": "USD", "method": "barter"}',
    Reason.METHOD_UNKNOWN,
)
NETWORK_UNKNOWN: Final = warning(
    "network.unknown",
    "That card network is not known; no rule about networks will apply.",
    '{"amount": 1250, "currency": "USD", "method": "card", "network": "moonpay"}',
)
STEPS_SINGLE: Final = info(
    "steps.single",
    "One step came without a list around it.",
    '{"amount": 1250, "currency": "USD", "method": "card", "steps": {"method": "card"}}',
)
STEPS_NAMED: Final = info(
    "steps.named",
    "A step came as the name of its method alone.",
    '{"amount": 1250, "currency": "USD", "method": "card", "steps": ["apple_pay", "card"]}',
)
STEPS_TOO_MANY: Final = refusal(
    "steps.too_many",
    "A split has at most 16 steps.",
    '{"amount": 1250, "currency": "USD", "method": "card", "steps": [⟨16 of "card", ⟩"card"]}',
    Reason.INVALID_ARGUMENT,
)

METADATA_TEXT: Final = info(
    "metadata.text",
    "A number or a yes or no in the metadata is kept as text.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"order": 17}}',
)
METADATA_FLATTENED: Final = info(
    "metadata.flattened",
    "An object in the metadata is kept as entries with dotted keys.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"order": {"id": "17"}}}',
)
METADATA_JSON: Final = info(
    "metadata.json_text",
    "A list in the metadata is kept as JSON text.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"items": [1, 2.50]}}',
)
METADATA_NULL: Final = info(
    "metadata.null",
    "A null in the metadata was left out.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"coupon": null}}',
)
METADATA_SHAPE: Final = warning(
    "metadata.shape",
    "The metadata is no object, and is kept under the key `metadata`.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": "vip"}',
)
METADATA_ADDED: Final = info(
    "metadata.added",
    "The field is kept with the metadata, under its own name.",
    '{"amount": 1250, "currency": "USD", "method": "card", "description": "Two books"}',
)
METADATA_KEY: Final = refusal(
    "metadata.key",
    "A key of the metadata has 1 to 40 characters.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"": "nameless"}}',
    Reason.INVALID_ARGUMENT,
)
METADATA_VALUE: Final = refusal(
    "metadata.value",
    "A value of the metadata has at most 500 characters.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {"note": "⟨501 of x⟩"}}',
    Reason.INVALID_ARGUMENT,
)
METADATA_COUNT: Final = refusal(
    "metadata.count",
    "The metadata has at most 50 keys.",
    '{"amount": 1250, "currency": "USD", "method": "card", "metadata": {'
    + "".join(f'"k{number}": "", ' for number in range(50))
    + '"k50": ""}}',
    Reason.INVALID_ARGUMENT,
)
