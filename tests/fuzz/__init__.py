"""The fuzzing: malformed requests by the thousand, over HTTP and gRPC, at the whole platform.

`payment-cli up` runs as a process of its own. What is sent is drawn from a seed, request by
request, so that any one can be sent again. First come requests without any meaning, after which no
table may have a row more; then those that may be taken, each of which leaves an issue if it was
messy. In the end no row names a request that was refused, no card number is in any row, log line or
span, the platform still pays, and the oracle has nothing to say. docs/fuzzing.md tells how to run
it.

Reading order: probes, hostile, http_probes, bodies, events, meaningless, perhaps, http_drawing,
documented, http_door, messages, seeds, rpc_probes, rpc_door, shops, remains, run.
"""
