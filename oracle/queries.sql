-- What is asked of payments takes $1, the least id of a payment that is looked at: an id is a UUIDv7,
-- so that later payments have greater ones.

-- name: now
-- The database's own time, by which everything is dated.
select now();

-- name: payments
-- Every payment as it stands, with how old what it waits for is.
select id, state, currency, version, in_doubt_since, needs_reconciliation, due_at, lease_until,
       capture_amount, updated_at
  from payments.payments
 where id >= $1::uuid;

-- name: steps
-- Every step with its amounts.
select id, payment_id, index, state, authorized, captured, refunded, refund_reserved, disputed,
       excess, platform_fee, fee_returned, processor_id, processor_reference
  from payments.steps
 where payment_id >= $1::uuid;

-- name: attempts
-- Every attempt, by the order of its making.
select id, payment_id, step_id, number, operation, processor_id, amount,
       processor_reference as hold, result_reference as reference, part_id, late, state,
       look_up_at, created_at, settled_at
  from payments.attempts
 where payment_id >= $1::uuid
 order by payment_id, number;

-- name: older_attempts
-- Those of these attempts that belong to payments which are not looked at.
select id from payments.attempts where id = any ($2::uuid[]) and payment_id < $1::uuid;

-- name: parts
-- Every part of a refund.
select id, refund_id, payment_id, step_id, amount, state, processor_id, processor_reference
  from payments.refund_parts
 where payment_id >= $1::uuid;

-- name: disputes
-- Every dispute, as far as it was heard of.
select id, payment_id, step_id, state, amount, fee, funds_withdrawn, funds_reinstated, processor_id,
       processor_reference
  from payments.disputes
 where payment_id >= $1::uuid;

-- name: postings
-- What is owed to the ledger, and whether it has it.
select id, payment_id, kind, idempotency_key, amount, currency, entries::text as entries, state,
       transaction_id, created_at, due_at, try_count
  from payments.postings
 where payment_id >= $1::uuid;

-- name: transactions
-- What the ledger holds for payments, an entry a row. What people post by hand about things that
-- they name "pay_1" is none of that.
select header.id, header.reference_id, header.idempotency_key, entry.account, entry.amount,
       entry.currency
  from ledger.ledger_transactions as header
  join ledger.ledger_entries as entry on entry.transaction_id = header.id
 where starts_with(header.reference_id, 'pay_') and length(header.reference_id) = 36
   and header.reference_id collate "C" >= 'pay_' || replace($1::uuid::text, '-', '');

-- name: sums
-- What the whole ledger sums to in each currency.
select currency, sum(amount)::bigint as total from ledger.ledger_entries group by currency;

-- name: unbalanced
-- Transactions that do not sum to zero in a currency.
select transaction_id, currency, sum(amount)::bigint as total
  from ledger.ledger_entries
 group by transaction_id, currency
having sum(amount) <> 0;

-- name: transitions
-- Every change of state, in order.
select payment_id, from_state, to_state, occurred_at
  from payments.transitions
 where payment_id >= $1::uuid
 order by payment_id, position;

-- name: allowed_moves
-- The pairs that a payment may go through.
select from_state, to_state from payments.allowed_moves;

-- name: unanswered
-- Calls that nobody has told yet what came of them.
select merchant_id, key, operation, payment_id, refund_id, first_used_at
  from payments.idempotency
 where answer is null and payment_id >= $1::uuid;

-- name: told
-- What was written to be published about payments, without its text.
select id, key, sequence, type, topic, written_at, relayed_at, error
  from messaging.outbox
 where starts_with(key, 'pay_')
   and key collate "C" >= 'pay_' || replace($1::uuid::text, '-', '');

-- name: waiting_messages
-- What has not reached the bus by now.
select id, key, type, written_at, error from messaging.outbox where relayed_at is null;

-- name: unhandled
-- What consumers were given and have not done.
select consumer, event_id, key, type, state, attempts, received_at, error
  from messaging.inbox
 where state <> 'done';

-- name: not_taken_in
-- What was published to a consumer's topics after it came, and is not in its inbox.
select consumers.consumer, message.id, message.key, message.type, message.relayed_at
  from (select consumer, topic, min(subscribed_at) as since
          from (select consumer, topic, subscribed_at from messaging.subscriptions
                union all
                select consumer, topic, null from messaging.intake_positions) as each
         group by consumer, topic) as consumers
  join messaging.outbox as message
    on message.topic = consumers.topic and message.relayed_at is not null
 where not exists (select from messaging.inbox
                    where inbox.consumer = consumers.consumer and inbox.event_id = message.id);

-- name: doubts
-- What is in doubt: how many payments, how much in each currency, and since when.
select payment.currency, count(distinct payment.id) as count,
       sum(attempt.amount)::bigint as amount_minor, min(payment.in_doubt_since) as oldest
  from payments.payments as payment
  join payments.attempts as attempt
    on attempt.payment_id = payment.id and attempt.state = 'in_doubt'
 where payment.in_doubt_since is not null
 group by payment.currency
 order by payment.currency;

-- name: open_postings
-- What the ledger has not: what waits for it, and what was given up.
select state, currency, count(*) as count, sum(amount)::bigint as amount_minor,
       min(created_at) as oldest
  from payments.postings
 where state <> 'posted'
 group by state, currency
 order by state, currency;

-- name: dead_letters
-- What consumers gave up on, and nobody has given to them again.
select consumer, count(*) as count, min(died_at) as oldest
  from messaging.dead_letters
 where replayed_at is null
 group by consumer
 order by consumer;

-- name: open_webhooks
-- What processors told that is not settled: it waits, belongs to no payment so far, or failed.
select state, count(*) as count, min(created_at) as oldest
  from webhooks.webhook_events
 where state in ('pending', 'unmatched', 'failed')
 group by state
 order by state;

-- name: given_up
-- What the ledger has not, and nobody brings to it any more.
select idempotency_key, try_count, coalesce(failure_reason, 'no reason kept') as reason,
       coalesce(failure_message, '') as message
  from payments.postings
 where state = 'needs_reconciliation'
 order by id;
