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

-- name: take_in
-- Copy messages from a broker into a consumer's inbox, in order, each event once, and ring for its
-- workers.
with taken as (
    insert into messaging.inbox
        (consumer, event_id, topic, key, partition, sequence, type, payload, headers, occurred_at)
    select $1, event_id, topic, key, partition, sequence, type, payload, headers::jsonb, occurred_at
      from unnest($2::text[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::text[],
                  $8::bytea[], $9::text[], $10::timestamptz[])
           with ordinality
           as message (event_id, topic, key, partition, sequence, type, payload, headers,
                       occurred_at, place)
     order by place
        on conflict do nothing
    returning event_id
)
select pg_notify('messaging_inbox', $1) where exists (select from taken);

-- name: intake_positions
-- How far a consumer has copied each partition of its topics.
select topic, partition, next_position from messaging.intake_positions where consumer = $1;

-- name: move_intake
-- Remember how far a consumer has copied, in the transaction that copies.
insert into messaging.intake_positions (consumer, topic, partition, next_position)
select $1, topic, partition, next_position
  from unnest($2::text[], $3::int[], $4::text[]) as moved (topic, partition, next_position)
    on conflict (consumer, topic, partition) do update set next_position = excluded.next_position;

-- name: claim_messages
-- Count an attempt on the messages to be handled next, and answer them in order. A message that was
-- tried before is suspected of killing its worker and is claimed alone; a parked key waits.
with line as (
    select row_number() over (order by waiting.position) as place, waiting.event_id,
           waiting.attempts
      from unnest($2::smallint[]) as held (partition)
     cross join lateral (
         select event_id, position, attempts
           from messaging.inbox
          where consumer = $1 and inbox.partition = held.partition and state = 'waiting'
            and not exists (
                select from messaging.inbox as parked
                 where parked.consumer = $1 and parked.key = inbox.key
                   and parked.state = 'waiting' and parked.due_at > now()
            )
          order by position
          limit $3
     ) as waiting
), batch as (
    select event_id
      from line
     where place = 1
        or (place <= $3 and place < coalesce((select min(place) from line where attempts > 0),
                                             $3 + 1))
), claimed as (
    update messaging.inbox
       set attempts = attempts + 1, due_at = null,
           first_tried_at = coalesce(first_tried_at, now())
      from batch
     where consumer = $1 and inbox.event_id = batch.event_id
    returning position, inbox.event_id, topic, key, sequence, type, payload,
              headers::text as headers, occurred_at, attempts, error
)
select * from claimed order by position;

-- name: mark_done
-- The effects of these are written in this very transaction. The payload has served; the row stays
-- so that a second copy of the event is recognised.
update messaging.inbox
   set state = 'done', payload = null, headers = null, error = null, finished_at = now()
 where consumer = $1 and event_id = any($2::text[]);

-- name: give_back
-- These were claimed but not tried, because an earlier message of their key failed.
update messaging.inbox set attempts = attempts - 1
 where consumer = $1 and event_id = any($2::text[]);

-- name: park_failed
-- Try these again later; until then they block their own key.
update messaging.inbox
   set error = failed.error, due_at = now() + interval '1 second' * failed.pause_seconds
  from unnest($2::text[], $3::text[], $4::float8[]) as failed (event_id, error, pause_seconds)
 where consumer = $1 and inbox.event_id = failed.event_id;

-- name: bury
-- Give up on these: out of the line, and whole among the dead letters.
with failed as (
    select event_id, letter_id, error
      from unnest($2::text[], $3::text[], $4::text[]) as failed (event_id, letter_id, error)
), buried as (
    update messaging.inbox
       set state = 'dead', payload = null, headers = null, due_at = null, error = failed.error,
           finished_at = now()
      from failed
     where consumer = $1 and inbox.event_id = failed.event_id and state = 'waiting'
    returning old.*, failed.letter_id, failed.error as last_error
)
insert into messaging.dead_letters
    (id, consumer, event_id, topic, key, type, payload, headers, occurred_at, error, attempts,
     first_tried_at)
select letter_id, consumer, event_id, topic, key, type, payload, headers, occurred_at, last_error,
       attempts, first_tried_at
  from buried
 order by position
returning number, id, consumer, event_id, topic, key, type, payload, headers::text as headers,
          error, attempts, first_tried_at, died_at, replayed_at;

-- name: outbox_lag
-- How much waits in the outbox, for how long, and how much of it the bus has refused so far.
select count(*) as waiting, count(*) filter (where refusals > 0) as refused,
       clock_timestamp() - min(written_at) as age
  from messaging.outbox
 where relayed_at is null;

-- name: inbox_depths
-- How much waits for each consumer, for how long, and how much it has given up on that nobody has
-- replayed. Consumers that have nothing to do are listed too.
select consumer, sum(waiting)::bigint as waiting, sum(dead)::bigint as dead,
       clock_timestamp() - min(oldest_at) as age
  from (
      select consumer, count(*) as waiting, 0 as dead, min(received_at) as oldest_at
        from messaging.inbox where state = 'waiting' group by consumer
      union all
      select consumer, 0, count(*), null
        from messaging.dead_letters where replayed_at is null group by consumer
      union all
      select consumer, 0, 0, null from messaging.subscriptions
      union all
      select consumer, 0, 0, null from messaging.intake_positions
  ) as known
 where $1::text is null or consumer = $1
 group by consumer
 order by consumer;

-- name: list_dead_letters
-- Dead letters, newest first, without their payloads; null means whatever it is.
select id, consumer, event_id, topic, key, type, ''::bytea as payload, headers::text as headers,
       error, attempts, first_tried_at, died_at, replayed_at
  from messaging.dead_letters
 where ($1::boolean is null or (replayed_at is not null) = $1)
   and ($2::text is null or consumer = $2)
   and ($3::text is null or key = $3)
   and ($4::timestamptz is null or died_at >= $4)
   and ($5::timestamptz is null or died_at < $5)
   and ($6::timestamptz is null or (died_at, id) < ($6, $7::text))
 order by died_at desc, id desc
 limit $8;

-- name: find_dead_letter
-- One dead letter, whole.
select id, consumer, event_id, topic, key, type, payload, headers::text as headers, error, attempts,
       first_tried_at, died_at, replayed_at
  from messaging.dead_letters
 where id = $1;

-- name: claim_replay
-- The first to come with this key replays; whoever comes again is told what the first did.
insert into messaging.replays (idempotency_key, fingerprint, replayed) values ($1, $2, 0)
    on conflict do nothing
returning idempotency_key;

-- name: find_replay
-- What was asked for under this key, and how much it replayed.
select fingerprint, replayed from messaging.replays where idempotency_key = $1;

-- name: note_replay
-- Remember how much the replay under this key came to.
update messaging.replays set replayed = $2 where idempotency_key = $1;

-- name: replay_letters
-- Put dead letters back into their consumers' inboxes, at the place in the line that each message
-- had, with all its attempts before it. Letters that were replayed before are left alone.
with chosen as (
    select id, consumer, event_id, payload, headers
      from messaging.dead_letters
     where replayed_at is null
       and ($1::text[] is null or id = any($1))
       and ($2::text is null or consumer = $2)
       and ($3::timestamptz is null or died_at >= $3)
       and ($4::timestamptz is null or died_at < $4)
     order by consumer, event_id
       for update
), revived as (
    update messaging.inbox
       set state = 'waiting', payload = chosen.payload, headers = chosen.headers, attempts = 0,
           first_tried_at = null, finished_at = null
      from chosen
     where inbox.consumer = chosen.consumer and inbox.event_id = chosen.event_id
    returning inbox.consumer
), marked as (
    update messaging.dead_letters set replayed_at = now()
      from chosen where dead_letters.id = chosen.id
    returning dead_letters.id
), rung as (
    select pg_notify('messaging_inbox', consumer) from (select distinct consumer from revived)
)
select (select count(*) from marked) as replayed, (select count(*) from rung) as rung;

-- name: forget_relayed
-- Relayed messages past their keeping, some at a time.
delete from messaging.outbox
 where id in (
     select id from messaging.outbox
      where written_at < $1 and relayed_at is not null and relayed_at < $1
      limit $2
 );

-- name: forget_handled
-- Handled messages that no bus can deliver again, some at a time; the dead stay until replayed.
delete from messaging.inbox
 where (consumer, event_id) in (
     select consumer, event_id from messaging.inbox
      where received_at < $1 and state = 'done' and finished_at < $1
      limit $2
 );

-- name: forget_replayed
-- Dead letters that were given to their consumers again long ago.
delete from messaging.dead_letters
 where id in (select id from messaging.dead_letters where replayed_at < $1 limit $2);

-- name: forget_replays
-- Replays so long ago that nobody asks for them again.
delete from messaging.replays
 where idempotency_key in (
     select idempotency_key from messaging.replays where created_at < $1 limit $2
 );
