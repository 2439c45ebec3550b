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

-- name: forget_handled
-- Handled messages that no bus can deliver again, some at a time; the dead stay until replayed.
delete from messaging.inbox
 where (consumer, event_id) in (
     select consumer, event_id from messaging.inbox
      where received_at < $1 and state = 'done' and finished_at < $1
      limit $2
 );
