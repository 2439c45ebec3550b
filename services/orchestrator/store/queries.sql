-- name: claim_keys
-- Take the keys of new payments; one that stands already does not return.
insert into payments.idempotency
       (merchant_id, key, operation, fingerprint, fields, payment_id, request_id, answer,
        answered_at)
select merchant_id, key, operation, fingerprint, fields::jsonb, payment_id, request_id, answer,
       case when answer is not null then now() end
  from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::uuid[], $7::uuid[],
              $8::bytea[])
       as claim (merchant_id, key, operation, fingerprint, fields, payment_id, request_id, answer)
    on conflict (merchant_id, key) do nothing
returning merchant_id, key;

-- name: find_keys
-- What stands under keys that were asked for again.
select idempotency.merchant_id, key, operation, fingerprint, fields::text as fields, payment_id,
       request_id, answer
  from payments.idempotency
  join unnest($1::uuid[], $2::text[]) as asked (merchant_id, key) using (merchant_id, key);

-- name: move_payments
-- Change payments that still stand as they were read, and note each change of state, in one
-- statement: the guards look for both at its end.
with moved as (
    update payments.payments as payment
       set version = change.version, state = change.state,
           processor_reference = change.processor_reference, error_code = change.error_code,
           decline_code = change.decline_code, user_message = change.user_message,
           error_step = change.error_step, redirect_url = change.redirect_url,
           redirect_return_url = change.redirect_return_url,
           action_expires_at = change.action_expires_at, in_doubt_since = change.in_doubt_since,
           needs_reconciliation = change.needs_reconciliation, updated_at = change.updated_at
      from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::smallint[], $9::text[], $10::text[], $11::timestamptz[],
                  $12::timestamptz[], $13::boolean[], $14::timestamptz[], $15::bigint[])
           as change (id, version, state, processor_reference, error_code, decline_code,
                      user_message, error_step, redirect_url, redirect_return_url,
                      action_expires_at, in_doubt_since, needs_reconciliation, updated_at,
                      expected_version)
     where payment.id = change.id and payment.version = change.expected_version
    returning payment.id
), noted as (
    insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
    select noted.*
      from unnest($16::uuid[], $17::text[], $18::text[], $19::text[], $20::timestamptz[])
           as noted (payment_id, from_state, to_state, cause, occurred_at)
      join moved on moved.id = noted.payment_id
)
select id from moved;

-- name: add_payments
-- New payments with the states they have been through, in one statement like the above.
with added as (
    insert into payments.payments
           (id, version, state, processor_reference, error_code, decline_code, user_message,
            error_step, redirect_url, redirect_return_url, action_expires_at, in_doubt_since,
            needs_reconciliation, updated_at, merchant_id, amount, currency, user_id,
            idempotency_key, request_id, request, created_at)
    select *
      from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::smallint[], $9::text[], $10::text[], $11::timestamptz[],
                  $12::timestamptz[], $13::boolean[], $14::timestamptz[], $15::uuid[],
                  $16::bigint[], $17::text[], $18::text[], $19::text[], $20::uuid[],
                  $21::bytea[], $22::timestamptz[])
)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select * from unnest($23::uuid[], $24::text[], $25::text[], $26::text[], $27::timestamptz[]);

-- name: add_plans
-- The plan that is stored first is the payment's only one.
insert into payments.plans (payment_id, digest, config_version, plan)
select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[])
    on conflict (payment_id) do nothing;

-- name: put_steps
-- Steps, new or as they have become.
insert into payments.steps
       (id, payment_id, index, amount, state, authorized, captured, refunded, disputed, excess,
        platform_fee, processor_id, processor_reference, error_code, retryable, latency_ms)
select *
  from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::text[], $6::bigint[],
              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[],
              $13::text[], $14::text[], $15::boolean[], $16::integer[])
    on conflict (id) do update
   set state = excluded.state, authorized = excluded.authorized, captured = excluded.captured,
       refunded = excluded.refunded, disputed = excluded.disputed, excess = excluded.excess,
       platform_fee = excluded.platform_fee, processor_id = excluded.processor_id,
       processor_reference = excluded.processor_reference, error_code = excluded.error_code,
       retryable = excluded.retryable, latency_ms = excluded.latency_ms;

-- name: put_attempts
-- Attempts, new or as they have become. Those of a payment come in the order of their numbers: one
-- is settled before the next of its step is opened, as the index on open attempts demands.
insert into payments.attempts
       (id, payment_id, step_id, number, operation, processor_id, amount, processor_reference,
        idempotency_key, key_expires_at, created_at, state, record, settled_at)
select *
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[],
              $7::bigint[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
              $12::text[], $13::bytea[], $14::timestamptz[])
    on conflict (id) do update
   set state = excluded.state, record = excluded.record, settled_at = excluded.settled_at;

-- name: add_postings
-- What payments owe to the ledger from here on.
insert into payments.postings
       (id, payment_id, kind, idempotency_key, amount, currency, entries, created_at)
select id, payment_id, kind, idempotency_key, amount, currency, entries::jsonb, created_at
  from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
              $8::timestamptz[])
       as posting (id, payment_id, kind, idempotency_key, amount, currency, entries, created_at);

-- name: reject_postings
-- What the ledger will not have, for a person to look at.
update payments.postings as posting
   set state = 'needs_reconciliation', failure_reason = refusal.reason,
       failure_message = refusal.message
  from unnest($1::uuid[], $2::text[], $3::text[]) as refusal (id, reason, message)
 where posting.id = refusal.id and posting.state = 'pending';

-- name: store_answers
-- What callers are told, with what decides it.
update payments.idempotency as standing
   set answer = decided.answer, answered_at = now()
  from unnest($1::uuid[], $2::text[], $3::bytea[]) as decided (merchant_id, key, answer)
 where standing.merchant_id = decided.merchant_id and standing.key = decided.key;

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
       idempotency_key, created_at, state, settled_at
  from payments.attempts
 where payment_id = any ($1::uuid[])
 order by payment_id, number;

-- name: find_posting_states
-- How far the ledger has followed payments.
select payment_id, state from payments.postings where payment_id = any ($1::uuid[]);

-- name: list_ids
-- A page of payments, newest first: an id is a UUIDv7, so its order is that of its making.
select payment.id
  from payments.payments as payment
 where ($1::uuid is null or merchant_id = $1)
   and (cardinality($2::text[]) = 0 or state = any ($2::text[]))
   and ($3::text is null or user_id = $3)
   and ($4::text is null or exists (
           select from payments.steps as step
            where step.payment_id = payment.id and step.processor_reference = $4))
   and ($5::boolean is null or (in_doubt_since is not null) = $5)
   and (cardinality($6::text[]) = 0 or coalesce((
           select case when bool_or(posting.state = 'needs_reconciliation')
                       then 'needs_reconciliation'
                       when bool_or(posting.state = 'pending') then 'pending'
                       when bool_or(posting.state = 'posted') then 'posted' end
             from payments.postings as posting
            where posting.payment_id = payment.id), 'none') = any ($6::text[]))
   and ($7::timestamptz is null or created_at >= $7)
   and ($8::timestamptz is null or created_at < $8)
   and ($9::uuid is null or payment.id < $9)
 order by payment.id desc
 limit $10;

-- name: take_due_postings
-- Take what is due for one try. The try is counted before it is made, and until it is over the
-- posting is not due for anybody else.
update payments.postings as posting
   set try_count = try_count + 1, due_at = now() + $2
  from (select id from payments.postings
         where state = 'pending' and due_at <= now()
         order by due_at limit $1
           for update skip locked) as due
 where posting.id = due.id
returning posting.id, payment_id, idempotency_key, amount, currency, entries::text as entries,
          try_count;

-- name: mark_booked
-- The ledger has them.
update payments.postings as posting
   set state = 'posted', transaction_id = booked.transaction_id, posted_at = booked.posted_at
  from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as booked (id, transaction_id, posted_at)
 where posting.id = booked.id and posting.state = 'pending';

-- name: put_off_postings
-- The ledger has them not yet.
update payments.postings as posting
   set due_at = now() + refused.pause, failure_reason = refused.reason,
       failure_message = refused.message
  from unnest($1::uuid[], $2::text[], $3::text[], $4::interval[])
       as refused (id, reason, message, pause)
 where posting.id = refused.id and posting.state = 'pending';
