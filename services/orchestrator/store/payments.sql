-- name: find_version
-- At which version a payment stands.
select version from payments.payments where id = $1;

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
