-- name: find_payments
-- Payments by id, newest first, with their plans.
select payment.*, plan.plan
  from payments.payments as payment
  left join payments.plans as plan on plan.payment_id = payment.id
 where payment.id = any ($1::uuid[])
 order by payment.id desc;

-- name: find_steps
-- The steps of payments, in the order of the plan.
select * from payments.steps where payment_id = any ($1::uuid[]) order by payment_id, index;

-- name: find_attempts
-- The attempts of payments, in the order of their making.
select id, payment_id, step_id, number, operation, processor_id, amount, processor_reference,
       idempotency_key, created_at, part_id, late, capture_at_once, state, result_reference,
       lookup_count, look_up_at, evidence::text as evidence, settled_at
  from payments.attempts
 where payment_id = any ($1::uuid[])
 order by payment_id, number;

-- name: find_refunds
-- The refunds of payments, oldest first.
select * from payments.refunds where payment_id = any ($1::uuid[]) order by payment_id, id;

-- name: find_refund_parts
-- The parts of their refunds, in the order in which they are paid out.
select * from payments.refund_parts
 where payment_id = any ($1::uuid[]) order by refund_id, position;

-- name: find_disputes
-- The disputes of payments, oldest first.
select * from payments.disputes where payment_id = any ($1::uuid[]) order by payment_id, id;

-- name: find_unanswered
-- The calls that wait for what becomes of payments.
select merchant_id, key, operation, payment_id, request_id, refund_id
  from payments.idempotency
 where payment_id = any ($1::uuid[]) and answer is null;

-- name: find_posting_states
-- How far the ledger has followed payments.
select payment_id, state from payments.postings where payment_id = any ($1::uuid[]);
