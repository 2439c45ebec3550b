"""The guards that protect money, each removed in turn: does any test notice?

A guard that no test misses may be gone tomorrow, and nobody would know. Here each is taken out of a
copy of the checkout, where the tests that are named beside it have to fail. What is listed is in
docs/guards.md, which is rendered from here.
"""
