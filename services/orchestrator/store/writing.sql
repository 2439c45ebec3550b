-- name: claim_keys
-- Take the keys of calls; one that stands already does not return.
insert into payments.idempotency
       (merchant_id, key, operation, fingerprint, fields, payment_id, request_id, refund_id, answer,
        answered_at)
select merchant_id, key, operation, fingerprint, fields::jsonb, payment_id, request_id, refund_id,
       answer, case when answer is not null then now() end
  from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::uuid[], $7::uuid[],
              $8::uuid[], $9::bytea[])
       as claim (merchant_id, key, operation, fingerprint, fields, payment_id, request_id,
                 refund_id, answer)
    on conflict (merchant_id, key) do nothing
returning merchant_id, key;

-- name: find_keys
-- What stands under keys that were asked for again.
select idempotency.merchant_id, key, operation, fingerprint, fields::text as fields, payment_id,
       request_id, first_used_at, answered_at, answer
  from payments.idempotency
  join unnest($1::uuid[], $2::text[]) as asked (merchant_id, key) using (merchant_id, key);

-- name: claim_events
-- Take what processors told; an event that was taken before does not return.
insert into payments.applied_events
       (processor_id, event_id, payment_id, webhook_event_id, native_type, disposition, message,
        occurred_at, applied_at)
select *
  from unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
              $8::timestamptz[], $9::timestamptz[])
    on conflict (processor_id, event_id) do nothing
returning processor_id, event_id;

-- name: find_events
-- What events did that were taken before.
select applied.processor_id, event_id, payment_id, disposition, message
  from payments.applied_events as applied
  join unnest($1::text[], $2::text[]) as asked (processor_id, event_id)
       using (processor_id, event_id);

-- name: move_payments
-- Change payments that still stand as they were read, and note each change of state, in one
-- statement: the guards look for both at its end. Who drives a payment goes on driving it; nobody
-- else can begin to before that ends, or its time is over. What only its driver may say is lost once
-- another epoch has begun.
with moved as (
    update payments.payments as payment
       set version = change.version, state = change.state,
           processor_reference = change.processor_reference, error_code = change.error_code,
           decline_code = change.decline_code, user_message = change.user_message,
           error_step = change.error_step, redirect_url = change.redirect_url,
           redirect_return_url = change.redirect_return_url,
           action_expires_at = change.action_expires_at, in_doubt_since = change.in_doubt_since,
           needs_reconciliation = change.needs_reconciliation, updated_at = change.updated_at,
           capture_amount = change.capture_amount, withdrawn = change.withdrawn,
           due_at = change.due_at,
           lease_epoch = payment.lease_epoch + case
               when payment.lease_epoch = change.lease_epoch and payment.lease_until is not null
                   then 0
               when change.drives and (payment.lease_until is null or payment.lease_until <= now())
                   then 1
               else 0 end,
           lease_until = case
               when (payment.lease_epoch = change.lease_epoch and payment.lease_until is not null)
                   or payment.lease_until is null or payment.lease_until <= now()
                   then case when change.drives then now() + $26::interval end
               else payment.lease_until end
      from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::smallint[], $9::text[], $10::text[], $11::timestamptz[],
                  $12::timestamptz[], $13::boolean[], $14::timestamptz[], $15::bigint[],
                  $16::boolean[], $17::timestamptz[], $18::boolean[], $19::bigint[], $20::bigint[],
                  $27::boolean[])
           as change (id, version, state, processor_reference, error_code, decline_code,
                      user_message, error_step, redirect_url, redirect_return_url,
                      action_expires_at, in_doubt_since, needs_reconciliation, updated_at,
                      capture_amount, withdrawn, due_at, drives, lease_epoch, expected_version,
                      is_drivers)
     where payment.id = change.id and payment.version = change.expected_version
       and (payment.lease_epoch = change.lease_epoch or not change.is_drivers)
    returning payment.id, payment.lease_epoch,
        change.drives and (
            (old.lease_epoch = change.lease_epoch and old.lease_until is not null)
            or old.lease_until is null or old.lease_until <= now()) as drives
), noted as (
    insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
    select noted.*
      from unnest($21::uuid[], $22::text[], $23::text[], $24::text[], $25::timestamptz[])
           as noted (payment_id, from_state, to_state, cause, occurred_at)
      join moved on moved.id = noted.payment_id
)
select id, lease_epoch, drives from moved;

-- name: find_epochs
-- In which epochs payments are driven, to tell those who could not change them why.
select id, lease_epoch from payments.payments where id = any ($1::uuid[]);

-- name: add_payments
-- New payments with the states they have been through, in one statement like the above.
with added as (
    insert into payments.payments
           (id, version, state, processor_reference, error_code, decline_code, user_message,
            error_step, redirect_url, redirect_return_url, action_expires_at, in_doubt_since,
            needs_reconciliation, updated_at, capture_amount, withdrawn, due_at, lease_epoch,
            lease_until, merchant_id, amount, currency, user_id, idempotency_key, request_id,
            request, created_at)
    select id, version, state, processor_reference, error_code, decline_code, user_message,
           error_step, redirect_url, redirect_return_url, action_expires_at, in_doubt_since,
           needs_reconciliation, updated_at, capture_amount, withdrawn, due_at, drives::integer,
           case when drives then now() + $34::interval end, merchant_id, amount, currency, user_id,
           idempotency_key, request_id, request, created_at
      from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::smallint[], $9::text[], $10::text[], $11::timestamptz[],
                  $12::timestamptz[], $13::boolean[], $14::timestamptz[], $15::bigint[],
                  $16::boolean[], $17::timestamptz[], $18::boolean[], $19::bigint[], $20::bigint[],
                  $21::uuid[], $22::bigint[], $23::text[], $24::text[], $25::text[], $26::uuid[],
                  $27::bytea[], $28::timestamptz[])
           as birth (id, version, state, processor_reference, error_code, decline_code,
                     user_message, error_step, redirect_url, redirect_return_url,
                     action_expires_at, in_doubt_since, needs_reconciliation, updated_at,
                     capture_amount, withdrawn, due_at, drives, lease_epoch, expected_version,
                     merchant_id, amount, currency, user_id, idempotency_key, request_id, request,
                     created_at)
)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select * from unnest($29::uuid[], $30::text[], $31::text[], $32::text[], $33::timestamptz[]);

-- name: say_requests
-- What the customer pays with was said, or said anew, when the payment was confirmed.
update payments.payments as payment
   set request = said.request
  from unnest($1::uuid[], $2::bytea[]) as said (id, request)
 where payment.id = said.id;

-- name: add_plans
-- The plan that is stored first is the payment's only one.
insert into payments.plans (payment_id, digest, config_version, plan)
select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[])
    on conflict (payment_id) do nothing;

-- name: put_steps
-- Steps, new or as they have become.
insert into payments.steps
       (id, payment_id, index, amount, state, authorized, captured, refunded, refund_reserved,
        disputed, excess, platform_fee, fee_returned, processor_id, processor_reference, error_code,
        retryable, latency_ms)
select *
  from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::text[], $6::bigint[],
              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
              $13::bigint[], $14::text[], $15::text[], $16::text[], $17::boolean[], $18::integer[])
    on conflict (id) do update
   set amount = excluded.amount, state = excluded.state, authorized = excluded.authorized,
       captured = excluded.captured, refunded = excluded.refunded,
       refund_reserved = excluded.refund_reserved, disputed = excluded.disputed,
       excess = excluded.excess, platform_fee = excluded.platform_fee,
       fee_returned = excluded.fee_returned, processor_id = excluded.processor_id,
       processor_reference = excluded.processor_reference, error_code = excluded.error_code,
       retryable = excluded.retryable, latency_ms = excluded.latency_ms;

-- name: put_attempts
-- Attempts, new or as they have become. Those of a payment come in the order of their numbers: one
-- is settled before the next of its step is opened, as the index on open attempts demands. Of what is
-- told of an attempt one time after another, the first two and the last six are kept.
insert into payments.attempts as attempt
       (id, payment_id, step_id, number, operation, processor_id, amount, processor_reference,
        idempotency_key, key_expires_at, created_at, part_id, late, capture_at_once, state,
        result_reference, lookup_count, look_up_at, evidence, records, settled_at)
select id, payment_id, step_id, number, operation, processor_id, amount, processor_reference,
       idempotency_key, key_expires_at, created_at, part_id, late, capture_at_once, state,
       result_reference, lookup_count, look_up_at, evidence::jsonb,
       case when record is not null then array[record] end, settled_at
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[],
              $7::bigint[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
              $12::uuid[], $13::boolean[], $14::boolean[], $15::text[], $16::text[],
              $17::integer[], $18::timestamptz[], $19::text[], $20::bytea[], $21::timestamptz[])
       as put (id, payment_id, step_id, number, operation, processor_id, amount,
               processor_reference, idempotency_key, key_expires_at, created_at, part_id, late,
               capture_at_once, state, result_reference, lookup_count, look_up_at, evidence, record,
               settled_at)
    on conflict (id) do update
   set state = excluded.state, result_reference = excluded.result_reference,
       lookup_count = excluded.lookup_count, look_up_at = excluded.look_up_at,
       evidence = excluded.evidence, settled_at = excluded.settled_at,
       records = case
           when attempt.records is null then excluded.records
           when excluded.records is null then attempt.records
           when cardinality(attempt.records) < 8 then attempt.records || excluded.records
           else attempt.records[:2] || attempt.records[4:] || excluded.records end;

-- name: put_refunds
-- Refunds, new or as they have become.
insert into payments.refunds
       (id, payment_id, amount, fee_returned, reason, state, idempotency_key, created_at,
        updated_at)
select *
  from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
              $7::text[], $8::timestamptz[], $9::timestamptz[])
    on conflict (id) do update
   set fee_returned = excluded.fee_returned, state = excluded.state,
       updated_at = excluded.updated_at;

-- name: put_refund_parts
-- The parts of refunds, new or as they have become.
insert into payments.refund_parts
       (id, refund_id, payment_id, step_id, position, amount, fee_returned, state, processor_id,
        processor_reference, error_code)
select *
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::bigint[],
              $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[])
    on conflict (id) do update
   set fee_returned = excluded.fee_returned, state = excluded.state,
       processor_reference = excluded.processor_reference, error_code = excluded.error_code;

-- name: put_disputes
-- Disputes, new or as they have become.
insert into payments.disputes
       (id, payment_id, step_id, state, amount, excess, fee, funds_withdrawn, funds_reinstated,
        reason, processor_id, processor_reference, opened_at, closed_at)
select *
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::boolean[], $9::boolean[], $10::text[], $11::text[], $12::text[],
              $13::timestamptz[], $14::timestamptz[])
    on conflict (id) do update
   set state = excluded.state, amount = excluded.amount, excess = excluded.excess,
       fee = excluded.fee, funds_withdrawn = excluded.funds_withdrawn,
       funds_reinstated = excluded.funds_reinstated, reason = excluded.reason,
       opened_at = excluded.opened_at, closed_at = excluded.closed_at;

-- name: add_postings
-- What payments owe to the ledger from here on.
insert into payments.postings
       (id, payment_id, kind, idempotency_key, amount, currency, entries, created_at, traceparent)
select id, payment_id, kind, idempotency_key, amount, currency, entries::jsonb, created_at,
       traceparent
  from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
              $8::timestamptz[], $9::text[])
       as posting (id, payment_id, kind, idempotency_key, amount, currency, entries, created_at,
                   traceparent);

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
