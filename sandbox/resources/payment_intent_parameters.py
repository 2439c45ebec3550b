"""What the operations on payment intents take."""

from __future__ import annotations

from typing import Final

from sandbox.parameters import (
    SHIPPING,
    Anything,
    Boolean,
    Choice,
    Fields,
    Integer,
    ListOf,
    Metadata,
    Parameter,
    Text,
    listing,
    operation,
)
from sandbox.resources.payment_methods import NEW_METHOD

_CAPTURE_METHODS: Final = Choice(("automatic", "automatic_async", "manual"))
_FUTURE_USAGE: Final = Choice(("off_session", "on_session"), unsettable=True)

_AUTOMATIC_METHODS: Final = Fields(
    {"enabled": Boolean(), "allow_redirects": Choice(("always", "never"))}, required=("enabled",)
)
_NEW_METHOD: Final = Fields(NEW_METHOD | {"radar_options": Anything()}, required=("type",))

_CARD_OPTIONS: Final = Fields(
    {
        "request_three_d_secure": Choice(("any", "automatic", "challenge")),
        "moto": Anything(),
        "network": Anything(),
        "setup_future_usage": Anything(),
        "statement_descriptor_suffix_kana": Anything(),
        "statement_descriptor_suffix_kanji": Anything(),
    }
)

_TYPES: Final = ListOf(Text(unsettable=False))

# What Stripe takes and the sandbox has no use for.
_WITHOUT_EFFECT: Final[dict[str, Parameter]] = {
    name: Anything()
    for name in (
        "amount_details",
        "application_fee_amount",
        "hooks",
        "excluded_payment_method_types",
        "mandate",
        "mandate_data",
        "payment_details",
        "radar_options",
        "transfer_data",
        "use_stripe_sdk",
    )
}
_EVERYWHERE: Final[dict[str, Parameter]] = _WITHOUT_EFFECT | {
    "payment_method": Text(unsettable=False),
    "payment_method_data": _NEW_METHOD,
    "payment_method_options": Fields({"card": _CARD_OPTIONS}),
    "allowed_payment_method_types": _TYPES,
    "payment_method_types": _TYPES,
    "receipt_email": Text(),
    "setup_future_usage": _FUTURE_USAGE,
    "shipping": SHIPPING,
    "capture_method": _CAPTURE_METHODS,
}
_DESCRIPTION: Final[dict[str, Parameter]] = {
    "customer": Text(),
    "description": Text(1000),
    "metadata": Metadata(),
    "statement_descriptor": Text(22),
    "statement_descriptor_suffix": Text(22),
    "transfer_group": Text(),
}
_CONFIRMING: Final[dict[str, Parameter]] = {
    "return_url": Text(unsettable=False),
    "off_session": Choice(("true", "false", "one_off", "recurring")),
    "error_on_requires_action": Boolean(),
}

CREATE: Final = operation(
    _EVERYWHERE,
    _DESCRIPTION,
    _CONFIRMING,
    required=("amount", "currency"),
    amount=Integer(1),
    currency=Text(unsettable=False),
    confirm=Boolean(),
    confirmation_method=Choice(("automatic", "manual")),
    automatic_payment_methods=_AUTOMATIC_METHODS,
    on_behalf_of=Anything(),
    payment_method_configuration=Anything(),
)

RETRIEVE: Final = operation(client_secret=Text())

UPDATE: Final = operation(
    _EVERYWHERE, _DESCRIPTION, amount=Integer(1), currency=Text(unsettable=False)
)

CONFIRM: Final = operation(_EVERYWHERE, _CONFIRMING)

CAPTURE: Final = operation(
    amount_to_capture=Integer(1),
    final_capture=Boolean(),
    metadata=Metadata(),
    statement_descriptor=Text(22),
    statement_descriptor_suffix=Text(22),
    application_fee_amount=Anything(),
    transfer_data=Anything(),
    amount_details=Anything(),
    payment_details=Anything(),
)

CANCEL: Final = operation(
    cancellation_reason=Choice(("abandoned", "duplicate", "fraudulent", "requested_by_customer"))
)

LIST: Final = listing(customer=Text())
