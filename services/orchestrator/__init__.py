"""The orchestrator: payments, their states, what is done for them and in which order.

It owns the schema `payments`. The gateway calls it; it calls the router to carry out attempts that
it has committed, and its poster books in the ledger what was taken. Reading order: domain/payment,
service/driving, service/orchestrator, service/posting, store.

It serves ExecutePlan for plans of one step, GetPayment and ListPayments. The other methods of the
contract answer UNIMPLEMENTED, and a plan of several steps is refused before anything is written.
"""
