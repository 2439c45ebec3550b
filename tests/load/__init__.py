"""The load: what the platform promises when many come at once, measured on `payment-cli up`.

Each part is one promise: it sends over real HTTP, with the sandbox as the processor, and comes back
with what was measured and whether it held. In the end the oracle is asked. docs/load.md tells how
to run it and how to read it.

Reading order: measured, caller, then the promises: intents, waiting, faults, webhooks, scarcity
(with narrow); run.
"""
