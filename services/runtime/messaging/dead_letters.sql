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
