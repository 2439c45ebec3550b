"""Stripe's resources over HTTP: one file each, with its parameters, operations and shape."""

from sandbox.resources import (
    balance_transactions,
    charges,
    customers,
    disputes,
    events,
    payment_intent_shape,  # noqa: F401 (its import declares how intents are shown)
    payment_intents,
    payment_methods,
    refunds,
    webhook_endpoints,
)
from sandbox.routing import Routes

ROUTES = Routes(
    route
    for resource in (
        payment_intents,
        payment_methods,
        customers,
        charges,
        refunds,
        disputes,
        balance_transactions,
        events,
        webhook_endpoints,
    )
    for route in resource.ROUTES
)
