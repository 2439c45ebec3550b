"""Faults under load: what the platform stands on goes away while people pay, and comes back.

The ledger refuses or is gone, PostgreSQL is restarted, the broker is stopped, connections are fewer
than callers. The whole platform runs in the test's process against the sandbox; what goes away is
real. Afterwards all is let come to rest, and the oracle is asked. `make test-faults` runs it, with
LONG=1 as long as operators have to live with it, and then tells its figures.

Reading order: scene, load, aftermath, then the faults themselves: test_*.
"""
