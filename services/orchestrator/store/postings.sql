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
-- The oldest postings that were given up begin anew, under their keys; how each stood is kept.
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
     limit $5
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
