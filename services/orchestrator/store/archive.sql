-- name: find_retries
-- Each time that postings were tried again by order, oldest first.
select posting_id, operator, reason, asked_at, try_count, failure_reason, failure_message
  from payments.retried_postings
  join payments.posting_retries using (idempotency_key)
 where posting_id = any ($1::uuid[])
 order by posting_id, asked_at;

-- name: find_refund
-- One refund, with whose it is.
select refund.*, payment.merchant_id, payment.currency
  from payments.refunds as refund
  join payments.payments as payment on payment.id = refund.payment_id
 where refund.id = $1;

-- name: list_refunds
-- A page of refunds, newest first, with whose they are.
select refund.*, payment.merchant_id, payment.currency
  from payments.refunds as refund
  join payments.payments as payment on payment.id = refund.payment_id
 where ($1::uuid is null or payment.merchant_id = $1)
   and ($2::uuid is null or refund.payment_id = $2)
   and (cardinality($3::text[]) = 0 or refund.state = any ($3::text[]))
   and ($4::timestamptz is null or refund.created_at >= $4)
   and ($5::timestamptz is null or refund.created_at < $5)
   and ($6::uuid is null or refund.id < $6)
 order by refund.id desc
 limit $7;

-- name: find_parts_of_refunds
-- The parts of refunds, in the order in which they are paid out.
select * from payments.refund_parts
 where refund_id = any ($1::uuid[]) order by refund_id, position;

-- name: find_dispute
-- One dispute, with whose it is.
select dispute.*, payment.merchant_id, payment.currency
  from payments.disputes as dispute
  join payments.payments as payment on payment.id = dispute.payment_id
 where dispute.id = $1;

-- name: list_disputes
-- A page of disputes, newest first, with whose they are.
select dispute.*, payment.merchant_id, payment.currency
  from payments.disputes as dispute
  join payments.payments as payment on payment.id = dispute.payment_id
 where ($1::uuid is null or payment.merchant_id = $1)
   and ($2::uuid is null or dispute.payment_id = $2)
   and (cardinality($3::text[]) = 0 or dispute.state = any ($3::text[]))
   and ($4::timestamptz is null or dispute.opened_at >= $4)
   and ($5::timestamptz is null or dispute.opened_at < $5)
   and ($6::uuid is null or dispute.id < $6)
 order by dispute.id desc
 limit $7;

-- name: list_postings
-- A page of postings, oldest first, with whose they are.
select posting.id, payment_id, kind, posting.idempotency_key, posting.amount, posting.currency,
       posting.state, transaction_id, try_count, failure_reason, failure_message,
       posting.created_at, posted_at, payment.merchant_id
  from payments.postings as posting
  join payments.payments as payment on payment.id = posting.payment_id
 where ($1::uuid is null or payment.merchant_id = $1)
   and ($2::uuid is null or payment_id = $2)
   and (cardinality($3::text[]) = 0 or posting.state = any ($3::text[]))
   and ($4::uuid is null or posting.id > $4)
 order by posting.id
 limit $5;

-- name: find_postings
-- What a payment owes to the ledger, oldest first.
select id, payment_id, kind, idempotency_key, amount, currency, state, transaction_id, try_count,
       failure_reason, failure_message, created_at, posted_at
  from payments.postings
 where payment_id = $1
 order by id;

-- name: list_requests
-- A page of requests, newest first, each with its plan if there is one.
select payment.id, payment.request, plan.plan
  from payments.payments as payment
  left join payments.plans as plan on plan.payment_id = payment.id
 where ($1::uuid is null or payment.merchant_id = $1)
   and ($2::timestamptz is null or payment.created_at >= $2)
   and ($3::timestamptz is null or payment.created_at < $3)
   and ($4::uuid is null or payment.id < $4)
 order by payment.id desc
 limit $5;

-- name: find_pulse
-- What shows that a payment has changed, without reading all of it.
select version, due_at is null as is_at_rest,
       array(select state from payments.postings where payment_id = payment.id) as posting_states
  from payments.payments as payment
 where id = $1;

-- name: find_transitions
-- Each change of a payment's state, in order.
select from_state, to_state, cause, occurred_at
  from payments.transitions
 where payment_id = $1
 order by position;

-- name: find_records
-- What was told of a payment's attempts: messages end to end, which are one message.
select id, (select string_agg(told, '' order by place)
              from unnest(records) with ordinality as told (told, place)) as record
  from payments.attempts
 where payment_id = $1 and records is not null;

-- name: find_applied_events
-- What processors told unasked of a payment, in the order in which it was applied.
select processor_id, event_id, webhook_event_id, native_type, disposition, message, occurred_at,
       applied_at
  from payments.applied_events
 where payment_id = $1
 order by applied_at, event_id;
