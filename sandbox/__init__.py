"""A Stripe-compatible payment processor that runs on its own: the platform's outside world.

It speaks Stripe's HTTP API, so the official SDK and the adapter that talk to Stripe talk to it
unchanged. It imports nothing of the platform and keeps a durable record of its own, which a test
can hold against what the platform believes.
"""
