-- name: add_events
-- Store events that are not stored yet. A body that PostgreSQL cannot hold as JSON is kept raw.
insert into webhooks.webhook_events
    (id, stripe_event_id, processor_id, event_type, subject, raw_body, payload, signature_verified,
     occurred_at, created_at)
select id, event_id, processor_id, event_type, subject, body,
       case when pg_input_is_valid(payload, 'jsonb') then payload::jsonb end, verified,
       occurred_at, created_at
  from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[],
              $8::boolean[], $9::timestamptz[], $10::timestamptz[])
       as event (id, event_id, processor_id, event_type, subject, body, payload, verified,
                 occurred_at, created_at)
    on conflict (stripe_event_id) do nothing
returning id, stripe_event_id, processor_id, event_type, subject, command_number;

-- name: find_ids
-- Where events are stored, by the processor's own ids.
select id, stripe_event_id from webhooks.webhook_events where stripe_event_id = any($1::text[]);

-- name: find_open
-- What it takes to apply one event.
select id, processor_id, stripe_event_id, event_type, raw_body, state, attempts, unmatched_checks,
       created_at
  from webhooks.webhook_events
 where id = $1;

-- name: settle
-- What an attempt to apply an event came to, in the transaction that marks its command done.
update webhooks.webhook_events
   set state = $2, payment_id = coalesce($3, payment_id), attempts = attempts + $4,
       unmatched_checks = unmatched_checks + ($2 = 'unmatched')::integer,
       failure_reason = case when $2 = 'failed' then failure_reason end,
       failure_message = case when $2 = 'failed' then failure_message end,
       processed_at = case when $2 in ('processed', 'ignored') then now() end,
       due_at = now() + $5::interval
 where id = $1;

-- name: give_up
-- Every try to apply an event has failed; its command is a dead letter.
update webhooks.webhook_events
   set state = 'failed', failure_reason = $2, failure_message = $3, attempts = attempts + $4,
       dead_letter_id = $5, due_at = null
 where id = $1 and state in ('pending', 'unmatched', 'failed');

-- name: take_due
-- Events whose time to be looked at again has come, each with the number of a new command.
with due as (
    select id from webhooks.webhook_events
     where due_at <= now()
     order by due_at
     limit $1
       for update skip locked
)
update webhooks.webhook_events as event
   set due_at = null, command_number = nextval('webhooks.command_numbers')
  from due
 where event.id = due.id
returning event.id, stripe_event_id, processor_id, event_type, subject, command_number;

-- name: reopen
-- Events that are to be applied once more, each with the number of a new command.
with chosen as (
    select id from webhooks.webhook_events
     where ($1::uuid[] is null or id = any($1))
       and ($2::timestamptz is null or created_at >= $2)
       and ($3::timestamptz is null or created_at < $3)
       and (not $4 or state = 'failed')
     order by id
       for update
)
update webhooks.webhook_events as event
   set state = 'pending', processed_at = null, due_at = null, failure_reason = null,
       failure_message = null, dead_letter_id = null,
       command_number = nextval('webhooks.command_numbers')
  from chosen
 where event.id = chosen.id
returning new.id, new.stripe_event_id, new.processor_id, new.event_type, new.subject,
          new.command_number, old.dead_letter_id;

-- name: find_event
-- One event, whole, by its id or the processor's own.
select id, stripe_event_id, processor_id, event_type, raw_body, payload::text as payload,
       signature_verified, state, payment_id, attempts, failure_reason, failure_message,
       occurred_at, created_at, processed_at
  from webhooks.webhook_events
 where id = $1 or stripe_event_id = $2;

-- name: list_events
-- Events without their bodies, newest first; null means whatever it is.
select id, stripe_event_id, processor_id, event_type, ''::bytea as raw_body, null as payload,
       signature_verified, state, payment_id, attempts, failure_reason, failure_message,
       occurred_at, created_at, processed_at
  from webhooks.webhook_events
 where ($1::text[] is null or state = any($1))
   and ($2::text is null or event_type = $2)
   and ($3::text is null or processor_id = $3)
   and ($4::uuid is null or payment_id = $4)
   and ($5::timestamptz is null or created_at >= $5)
   and ($6::timestamptz is null or created_at < $6)
   and ($7::uuid is null or id < $7)
 order by id desc
 limit $8;

-- name: count_states
-- How many events are in each state.
select state, count(*) as events from webhooks.webhook_events
 where $1::text is null or processor_id = $1
 group by state;

-- name: count_open
-- How many events are in each state that is not an end.
select state, count(*) as events from webhooks.webhook_events
 where state in ('pending', 'unmatched', 'failed')
 group by state;

-- name: oldest_pending
-- How long the oldest event that waits to be applied has been waiting.
select now() - min(created_at) as age from webhooks.webhook_events
 where state = 'pending' and ($1::text is null or processor_id = $1);

-- name: claim_call
-- The first to come with this key does it; whoever comes again is told what the first did.
insert into webhooks.calls (idempotency_key, fingerprint, count) values ($1, $2, 0)
    on conflict do nothing
returning idempotency_key;

-- name: find_call
-- What was asked for under this key, and what it came to.
select fingerprint, count from webhooks.calls where idempotency_key = $1;

-- name: note_call
-- Remember what the call under this key came to.
update webhooks.calls set count = $2 where idempotency_key = $1;

-- name: begin_comparison
-- Take the next comparison with a processor's list, unless it is not due or somebody has it.
insert into webhooks.comparisons as standing (processor_id, next_at)
values ($1, now() + $2::interval)
    on conflict (processor_id) do update set next_at = excluded.next_at
       where standing.next_at <= now()
returning seen_through;

-- name: note_missing
-- Keep what is missing, since when it was first noticed.
insert into webhooks.missing_events
    (processor_id, stripe_event_id, event_type, occurred_at, noticed_at)
select processor_id, event_id, event_type, occurred_at, $5
  from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
       as missing (processor_id, event_id, event_type, occurred_at)
    on conflict do nothing;

-- name: find_lost
-- Those of the missing that were noticed long enough ago.
select stripe_event_id from webhooks.missing_events
 where processor_id = any($1::text[]) and stripe_event_id = any($2::text[]) and noticed_at <= $3;

-- name: forget_found
-- What was missing and is stored by now.
delete from webhooks.missing_events as missing
 where processor_id = $1
   and exists (
       select from webhooks.webhook_events as event
        where event.stripe_event_id = missing.stripe_event_id
   );

-- name: finish_comparison
-- How far the list was compared; with more of it left, the next comparison is due at once.
update webhooks.comparisons
   set seen_through = $2,
       compared_at = case when $3 then now() else compared_at end,
       next_at = case when $3 then next_at else now() end
 where processor_id = $1;

-- name: oldest_missing
-- What is missing the longest, and up to when all lists have been compared.
select (select min(compared_at) from webhooks.comparisons
         where $1::text is null or processor_id = $1) as compared_at,
       missing.*
  from (select) as always
  left join lateral (
      select processor_id, stripe_event_id, event_type, occurred_at
        from webhooks.missing_events
       where $1::text is null or processor_id = $1
       order by occurred_at
       limit 1
  ) as missing on true;
