"""The router: carries out one committed attempt at one processor, with care.

It owns no data; its circuit breakers live as long as the process. The orchestrator calls it with
attempts that it has committed, and alone decides what to do with the answer: the router makes no
attempt of its own. Reading order: domain, service/run, service/router.
"""
