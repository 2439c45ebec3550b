-- name: append_messages
-- Write messages in the order given, and ring for the relays when the transaction commits.
with written as (
    insert into messaging.outbox
        (id, topic, key, partition, sequence, type, payload, headers, occurred_at)
    select message.id, topic, key, partition, sequence, type, payload, headers::jsonb, occurred_at
      from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bigint[], $6::text[],
                  $7::bytea[], $8::text[], $9::timestamptz[])
           with ordinality
           as message (id, topic, key, partition, sequence, type, payload, headers, occurred_at,
                       place)
     order by place
)
select pg_notify('messaging_outbox', '');

-- name: hold_subscriptions
-- Taken, shared, before the relay reads who subscribes: a consumer that registers excludes it.
select pg_advisory_xact_lock_shared(hashtext('messaging.subscriptions'));

-- name: carry_to_inboxes
-- Move the oldest waiting messages of some partitions into the inbox of each subscriber, in order,
-- mark them and ring for the workers. Answers how many messages were moved.
with picked as materialized (
    select waiting.*
      from unnest($1::smallint[]) as held (partition)
     cross join lateral (
         select id, position, topic, key, partition, sequence, type, payload, headers, occurred_at
           from messaging.outbox
          where outbox.partition = held.partition and relayed_at is null
          order by position
          limit $2
     ) as waiting
), marked as (
    update messaging.outbox set relayed_at = clock_timestamp()
      from picked where outbox.id = picked.id
), delivered as (
    insert into messaging.inbox
        (consumer, event_id, topic, key, partition, sequence, type, payload, headers, occurred_at)
    select subscriptions.consumer, picked.id, topic, key, partition, sequence, type, payload,
           headers, occurred_at
      from picked join messaging.subscriptions using (topic)
     order by picked.position
        on conflict do nothing
    returning consumer
), rung as (
    select pg_notify('messaging_inbox', consumer) from (select distinct consumer from delivered)
)
select (select count(*) from picked) as moved, (select count(*) from rung) as rung;

-- name: pick_messages
-- The oldest waiting messages of some partitions, without those of a parked key.
select waiting.*
  from unnest($1::smallint[]) as held (partition)
 cross join lateral (
     select id, position, topic, key, partition, sequence, type, payload, headers::text as headers,
            occurred_at
       from messaging.outbox
      where outbox.partition = held.partition and relayed_at is null
        and not exists (
            select from messaging.outbox as parked
             where parked.key = outbox.key and parked.relayed_at is null and parked.due_at > now()
        )
      order by position
      limit $2
 ) as waiting
 order by waiting.position;

-- name: mark_relayed
-- The bus has these: they are history.
update messaging.outbox set relayed_at = clock_timestamp(), due_at = null, error = null
 where id = any($1::text[]);

-- name: park_refused
-- The bus will not take these as they are: each blocks its own key until it is tried again.
update messaging.outbox
   set refusals = refusals + 1, error = refused.error,
       due_at = now() + least(interval '5 minutes', interval '1 second' * 2 ^ least(refusals, 20))
  from unnest($1::text[], $2::text[]) as refused (id, error)
 where outbox.id = refused.id;

-- name: exclude_relays
-- Taken by a consumer that registers: relays at work finish first, and later ones see it.
select pg_advisory_xact_lock(hashtext('messaging.subscriptions'));

-- name: subscribe
-- Register a consumer with its topics. Answers the topics that are new to it.
insert into messaging.subscriptions (consumer, topic)
select $1, topic from unnest($2::text[]) as wanted (topic)
    on conflict do nothing
returning topic;

-- name: deliver_history
-- Give a new subscriber what was relayed before it came and is still kept.
insert into messaging.inbox
    (consumer, event_id, topic, key, partition, sequence, type, payload, headers, occurred_at)
select $1, id, topic, key, partition, sequence, type, payload, headers, occurred_at
  from messaging.outbox
 where relayed_at is not null and topic = any($2::text[])
 order by position
    on conflict do nothing;

-- name: outbox_lag
-- How much waits in the outbox, for how long, and how much of it the bus has refused so far.
select count(*) as waiting, count(*) filter (where refusals > 0) as refused,
       clock_timestamp() - min(written_at) as age
  from messaging.outbox
 where relayed_at is null;

-- name: forget_relayed
-- Relayed messages past their keeping, some at a time.
delete from messaging.outbox
 where id in (
     select id from messaging.outbox
      where written_at < $1 and relayed_at is not null and relayed_at < $1
      limit $2
 );
