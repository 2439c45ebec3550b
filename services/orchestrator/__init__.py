"""The orchestrator: payments, their states, what is done for them and in which order.

It owns the schema `payments`. The gateway and the webhooks call it; it calls the router to carry
out attempts that it has committed, and its poster books in the ledger what was taken. Reading
order: domain/payment and its layers, service/desk, service/desks, service/orchestrator,
service/posting, store/payments, workers.
"""
