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
