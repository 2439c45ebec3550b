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
        idempotency_key, key_expires_at, created_at, part_id, late, state, result_reference,
        lookup_count, look_up_at, evidence, records, settled_at)
select id, payment_id, step_id, number, operation, processor_id, amount, processor_reference,
       idempotency_key, key_expires_at, created_at, part_id, late, state, result_reference,
       lookup_count, look_up_at, evidence::jsonb,
       case when record is not null then array[record] end, settled_at
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[],
              $7::bigint[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
              $12::uuid[], $13::boolean[], $14::text[], $15::text[], $16::integer[],
              $17::timestamptz[], $18::text[], $19::bytea[], $20::timestamptz[])
       as put (id, payment_id, step_id, number, operation, processor_id, amount,
               processor_reference, idempotency_key, key_expires_at, created_at, part_id, late,
               state, result_reference, lookup_count, look_up_at, evidence, record, settled_at)
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

-- name: find_payments
-- Payments by id, newest first, with their plans.
select payment.*, plan.plan
  from payments.payments as payment
  left join payments.plans as plan on plan.payment_id = payment.id
 where payment.id = any ($1::uuid[])
 order by payment.id desc;

-- name: find_version
-- At which version a payment stands.
select version from payments.payments where id = $1;

-- name: find_steps
-- The steps of payments, in the order of the plan.
select * from payments.steps where payment_id = any ($1::uuid[]) order by payment_id, index;

-- name: find_attempts
-- The attempts of payments, in the order of their making.
select id, payment_id, step_id, number, operation, processor_id, amount, processor_reference,
       idempotency_key, created_at, part_id, late, state, result_reference, lookup_count,
       look_up_at, evidence::text as evidence, settled_at
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
          try_count, traceparent;

-- name: mark_booked
-- The ledger has them, whatever was thought of that until now.
update payments.postings as posting
   set state = 'posted', transaction_id = booked.transaction_id, posted_at = booked.posted_at
  from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as booked (id, transaction_id, posted_at)
 where posting.id = booked.id and posting.state <> 'posted';

-- name: put_off_postings
-- The ledger has them not yet.
update payments.postings as posting
   set due_at = now() + refused.pause, failure_reason = refused.reason,
       failure_message = refused.message
  from unnest($1::uuid[], $2::text[], $3::text[], $4::interval[])
       as refused (id, reason, message, pause)
 where posting.id = refused.id and posting.state = 'pending';

-- name: claim_retry
-- The first to come with this key has postings tried again; others are told what that came to.
insert into payments.posting_retries (idempotency_key, fingerprint, operator, reason)
values ($1, $2, $3, $4)
    on conflict do nothing
returning idempotency_key;

-- name: find_retry
-- What was asked for under this key, and how many postings it concerned.
select fingerprint, (select count(*) from payments.retried_postings as retried
                      where retried.idempotency_key = retry.idempotency_key) as postings
  from payments.posting_retries as retry
 where idempotency_key = $1;

-- name: find_unknown_postings
-- One of these ids that is no posting's, if there is any.
select id from unnest($1::uuid[]) as wanted (id)
 where not exists (select from payments.postings as posting where posting.id = wanted.id)
 limit 1;

-- name: retry_postings
-- Postings that were given up begin anew, under the keys that they have; how each stood is kept.
with chosen as (
    select posting.id, posting.try_count, failure_reason, failure_message
      from payments.postings as posting
     where posting.state = 'needs_reconciliation'
       and ($2::uuid[] is null or posting.id = any ($2))
       and ($3::uuid is null or posting.payment_id = $3)
       and ($4::uuid is null or exists (
               select from payments.payments as payment
                where payment.id = posting.payment_id and payment.merchant_id = $4))
     order by posting.id
       for update
), kept as (
    insert into payments.retried_postings
           (posting_id, idempotency_key, try_count, failure_reason, failure_message)
    select id, $1, try_count, failure_reason, failure_message from chosen
)
update payments.postings as posting
   set state = 'pending', due_at = now(), try_count = 0, failure_reason = null,
       failure_message = null
  from chosen
 where posting.id = chosen.id;

-- name: find_retries
-- Each time that postings were tried again by order, oldest first.
select posting_id, operator, reason, asked_at, try_count, failure_reason, failure_message
  from payments.retried_postings
  join payments.posting_retries using (idempotency_key)
 where posting_id = any ($1::uuid[])
 order by posting_id, asked_at;

-- name: take_due_payments
-- Take up payments that someone has to go on with and nobody drives.
update payments.payments as payment
   set lease_epoch = payment.lease_epoch + 1, lease_until = now() + $3::interval
  from (select id from payments.payments
         where due_at <= $1 and (lease_until is null or lease_until <= now())
         order by due_at limit $2
           for no key update skip locked) as due
 where payment.id = due.id
returning payment.id, payment.lease_epoch;

-- name: take_payment
-- Take up one payment, if someone has to go on with it and nobody drives it.
update payments.payments
   set lease_epoch = lease_epoch + 1, lease_until = now() + $2::interval
 where id = $1 and due_at is not null and (lease_until is null or lease_until <= now())
returning lease_epoch;

-- name: renew_leases
-- Go on driving; who was overtaken does not return.
update payments.payments as payment
   set lease_until = now() + $3::interval
  from (select held.id, lease.epoch
          from payments.payments as held
          join unnest($1::uuid[], $2::bigint[]) as lease (id, epoch)
            on lease.id = held.id and lease.epoch = held.lease_epoch
         where held.lease_until is not null
         order by held.id
           for no key update of held) as still
 where payment.id = still.id
returning payment.id;

-- name: release_leases
-- Leave payments to whoever takes them up next.
update payments.payments as payment
   set lease_until = now()
  from (select held.id
          from payments.payments as held
          join unnest($1::uuid[], $2::bigint[]) as lease (id, epoch)
            on lease.id = held.id and lease.epoch = held.lease_epoch
         where held.lease_until is not null
         order by held.id
           for no key update of held) as still
 where payment.id = still.id;

-- name: find_by_attempt
-- The payment that an attempt belongs to.
select payment_id from payments.attempts where id = $1;

-- name: find_by_reference
-- The payment that a processor's own id belongs to, be it of a hold, a refund or a dispute.
select payment_id from payments.attempts where processor_id = $1 and result_reference = $2
 union all
select payment_id from payments.refund_parts where processor_id = $1 and processor_reference = $2
 union all
select payment_id from payments.disputes where processor_id = $1 and processor_reference = $2
 limit 1;

-- name: doubts
-- What is in doubt: how many payments, how much in each currency, and since when.
select payment.currency, count(distinct payment.id) as payments,
       sum(attempt.amount)::bigint as amount, min(payment.in_doubt_since) as since
  from payments.payments as payment
  join payments.attempts as attempt
    on attempt.payment_id = payment.id and attempt.state = 'in_doubt'
 where payment.in_doubt_since is not null
 group by payment.currency;

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

-- name: hold_quotas
-- What was drawn of quotas, each held until the transaction ends; one of which nothing was drawn
-- yet has no entries. The moment is the database's, so that all processes count by one clock.
with held as materialized (
    select quota.merchant_id, quota.rule, quota.subject, quota.entries
      from payments.quotas as quota
      join unnest($1::uuid[], $2::text[], $3::text[]) as asked (merchant_id, rule, subject)
           using (merchant_id, rule, subject)
     order by quota.merchant_id, quota.rule, quota.subject
       for update of quota
)
select asked.merchant_id, asked.rule, asked.subject, held.entries::text as entries,
       (extract(epoch from clock_timestamp()) * 1000000)::bigint as now_us
  from unnest($1::uuid[], $2::text[], $3::text[]) as asked (merchant_id, rule, subject)
  left join held using (merchant_id, rule, subject);

-- name: put_quotas
-- Quotas as they have been drawn; one that somebody else was the first to draw does not return.
with drawn as (
    select *
      from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::boolean[])
           as drawn (merchant_id, rule, subject, entries, ends_at, is_held)
), changed as (
    update payments.quotas as quota
       set entries = drawn.entries::jsonb, ends_at = drawn.ends_at
      from drawn
     where drawn.is_held and quota.merchant_id = drawn.merchant_id and quota.rule = drawn.rule
       and quota.subject = drawn.subject
    returning quota.merchant_id, quota.rule, quota.subject
), added as (
    insert into payments.quotas (merchant_id, rule, subject, entries, ends_at)
    select merchant_id, rule, subject, entries::jsonb, ends_at from drawn where not is_held
        on conflict (merchant_id, rule, subject) do nothing
    returning merchant_id, rule, subject
)
select * from changed union all select * from added;

-- name: forget_quotas
-- Drop what says nothing any more, and leave alone what somebody draws just now.
delete from payments.quotas
 where ctid = any (array(
           select ctid from payments.quotas where ends_at <= now() limit $1
              for update skip locked));
