"""How much a channel carries, and how often it is asked whether it still lives."""

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
CONCURRENT_CALLS_MAX = 1_000
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
