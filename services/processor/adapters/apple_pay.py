"""Apple Pay through Stripe: the wallet's token goes where a card's would."""

from typing import Final

from services.kernel.context import PaymentMethod
from services.processor.adapters.kind import AdapterKind
from services.processor.adapters.stripe.account import KEY_WINDOW, StripeOptions, open_account

KIND: Final = AdapterKind(
    options=StripeOptions,
    make=open_account,
    methods=(PaymentMethod.APPLE_PAY,),
    key_window=KEY_WINDOW,
)
