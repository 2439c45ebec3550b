-- One payment as the platform writes it, row for row, each write in a transaction of its own.
-- A colon within a text is written as \x3a, since pgbench would take what follows for a variable.
-- The intent.
begin;
insert into payments.idempotency
       (merchant_id, key, operation, fingerprint, fields, payment_id, request_id)
values (:merchant::uuid, gen_random_uuid()::text, 'ExecutePlan', sha256('bench'),
        jsonb_build_object('amount', repeat('a', 16), 'country', repeat('a', 16),
                           'instrument.method', repeat('a', 16),
                           'instrument.token', repeat('a', 16), 'user_id', repeat('a', 16)),
        uuidv7(), uuidv7())
    on conflict (merchant_id, key) do nothing
returning key as order_key, payment_id as payment, request_id as request, uuidv7() as step,
          uuidv7() as hold, uuidv7() as posting, uuidv7() as booking \gset
insert into payments.quotas (merchant_id, rule, subject, entries, ends_at)
values (:merchant::uuid, 'attempts.per_user', :order_key,
        jsonb_build_array(jsonb_build_array(1795244059497318, 1, 0)), now() + interval '1 hour')
    on conflict (merchant_id, rule, subject) do nothing;
with added as (
    insert into payments.payments
           (id, version, state, needs_reconciliation, updated_at, withdrawn, due_at, lease_epoch,
            lease_until, merchant_id, amount, currency, user_id, idempotency_key, request_id,
            request, created_at)
    values (:payment::uuid, 1, 'confirming', false, now(), false, now(), 1,
            now() + interval '15 seconds', :merchant::uuid, 10000, 'USD', :order_key, :order_key,
            :request::uuid, convert_to(repeat('x', :request_bytes), 'UTF8'), now())
)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
values (:payment::uuid, null, 'created', 'request:' || :request, now()),
       (:payment::uuid, 'created', 'confirming', 'request:' || :request, now());
insert into payments.plans (payment_id, digest, config_version, plan)
values (:payment::uuid, repeat('a', 64), 1, convert_to(repeat('x', :plan_bytes), 'UTF8'))
    on conflict (payment_id) do nothing;
insert into payments.steps (id, payment_id, index, amount, state)
values (:step::uuid, :payment::uuid, 0, 10000, 'processing');
insert into payments.attempts
       (id, payment_id, step_id, number, operation, processor_id, amount, idempotency_key,
        key_expires_at, created_at, capture_at_once, state)
values (:hold::uuid, :payment::uuid, :step::uuid, 1, 'authorize', 'simulated', 10000,
        'att_' || :hold, now() + interval '23 hours', now(), true, 'open');
insert into messaging.outbox
       (id, topic, key, partition, sequence, type, payload, headers, occurred_at)
select 'evt_' || gen_random_uuid(), 'payment.events', 'pay_' || :payment,
       abs(hashtext(:payment)) % 16, sequence, type,
       convert_to(repeat('x', :event_bytes), 'UTF8'),
       jsonb_build_object('traceparent', repeat('a', 55)), now()
  from (values (1, 'PaymentCreated')) as told (sequence, type);
commit;
-- What the processor said of it: the amount is held and taken; with the answer for the caller.
begin;
with moved as (
    update payments.payments
       set version = 5, state = 'captured', processor_reference = 'sim_' || :hold,
           updated_at = now(), capture_amount = 10000, due_at = null, lease_until = null
     where id = :payment::uuid and version = 1
    returning id
)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select id, before, after, 'attempt:' || :hold, now()
  from moved,
       (values ('confirming', 'authorized'), ('authorized', 'captured')) as way (before, after);
update payments.steps
   set state = 'captured', authorized = 10000, captured = 10000, platform_fee = 320,
       processor_id = 'simulated', processor_reference = 'sim_' || :hold
 where id = :step::uuid;
insert into payments.attempts
       (id, payment_id, step_id, number, operation, processor_id, amount, idempotency_key,
        key_expires_at, created_at, capture_at_once, state, result_reference, records, settled_at)
values (:hold::uuid, :payment::uuid, :step::uuid, 1, 'authorize', 'simulated', 10000,
        'att_' || :hold, now() + interval '23 hours', now(), true, 'succeeded', 'sim_' || :hold,
        array[convert_to(repeat('x', :record_bytes), 'UTF8')], now())
    on conflict (id) do update
   set state = excluded.state, result_reference = excluded.result_reference,
       records = excluded.records, settled_at = excluded.settled_at;
insert into payments.postings
       (id, payment_id, kind, idempotency_key, amount, currency, entries, created_at)
values (:posting::uuid, :payment::uuid, 'capture', E'capture\x3astep_' || :step, 10000, 'USD',
        (select jsonb_agg(jsonb_build_object(
                    'account', 'merchant:' || :merchant::text || E'\x3apayable', 'currency', 'USD',
                    'amount_minor', amount))
           from (values (-10000), (9680), (320)) as leg (amount)), now());
update payments.idempotency
   set answer = convert_to(repeat('x', :answer_bytes), 'UTF8'), answered_at = now()
 where merchant_id = :merchant::uuid and key = :order_key;
insert into messaging.outbox
       (id, topic, key, partition, sequence, type, payload, headers, occurred_at)
select 'evt_' || gen_random_uuid(), 'payment.events', 'pay_' || :payment,
       abs(hashtext(:payment)) % 16, sequence, type,
       convert_to(repeat('x', :event_bytes), 'UTF8'),
       jsonb_build_object('traceparent', repeat('a', 55)), now()
  from (values (2, 'StepSucceeded'), (3, 'PaymentAuthorized'), (4, 'PaymentCaptured'),
               (5, 'PaymentCompleted')) as told (sequence, type);
commit;
-- The booking: taken, booked, marked.
update payments.postings
   set try_count = try_count + 1, due_at = now() + interval '15 seconds'
 where id = :posting::uuid;
begin;
with headers as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count)
    values (:booking::uuid, 'pay_' || :payment, E'capture\x3astep_' || :step, sha256('bench'), 3)
    returning id
)
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select headers.id, leg, account, amount, 'USD'
  from headers, (values (1, E'processor\x3asimulated\x3aclearing', -10000),
                        (2, 'merchant:' || :merchant::text || E'\x3apayable', 9680),
                        (3, E'platform\x3afees', 320)) as leg (leg, account, amount);
insert into messaging.outbox
       (id, topic, key, partition, sequence, type, payload, headers, occurred_at)
values ('evt_' || gen_random_uuid(), 'payment.events', 'ltx_' || :booking,
        abs(hashtext(:booking)) % 16, 1, 'LedgerPosted',
        convert_to(repeat('x', :event_bytes), 'UTF8'), '{}', now());
commit;
update payments.postings
   set state = 'posted', transaction_id = :booking::uuid, posted_at = now()
 where id = :posting::uuid and state = 'pending';
-- The relay's mark.
update messaging.outbox set relayed_at = clock_timestamp()
 where key in ('pay_' || :payment, 'ltx_' || :booking);
