"""Messaging: a change and the message that tells of it are one commit; so are message and effect.

Writers `append` to the outbox inside their own transaction. A `Relay` has the bus carry what waits
there to the inbox of every consumer; a `Worker` hands each message to its consumer's handler, in
order per key, once. The bus is PostgreSQL itself or a broker; the rest is the same code. Reading
order: message, outbox, relay, bus, postgres_bus, consumer, worker, lane, dead_letters.
"""
