-- name: add_version
-- Adds a version only on top of the one that its author has read; whoever loses gets no row.
insert into config.versions
       (merchant_id, version, settings, comment, author, idempotency_key, fingerprint)
select $1::uuid, $2::bigint + 1, $3::text::jsonb, $4::text, $5::text, $6::text, $7::bytea
 where $2 = coalesce((select max(version) from config.versions where merchant_id = $1::uuid), 0)
    on conflict do nothing
returning merchant_id, version, comment, author, created_at;

-- name: find_by_key
-- What a key that was used before stands for.
select merchant_id, version, settings::text as settings, comment, author, created_at, fingerprint
  from config.versions
 where merchant_id = $1::uuid and idempotency_key = $2;

-- name: find_version
-- One version in full.
select merchant_id, version, settings::text as settings, comment, author, created_at
  from config.versions
 where merchant_id = $1::uuid and version = $2;

-- name: newest_version
-- The number of a merchant's newest version; zero when there is none.
select coalesce(max(version), 0) from config.versions where merchant_id = $1::uuid;

-- name: list_versions
-- A page of versions, newest first, without what they say.
select merchant_id, version, comment, author, created_at
  from config.versions
 where merchant_id = $1::uuid and ($2::bigint is null or version < $2)
 order by version desc
 limit $3;

-- name: written_since
-- Versions of transactions at or past a horizon below which every transaction has ended: what
-- commits late is still found. Some come twice.
select merchant_id, version, comment, author, created_at
  from config.versions
 where written_in >= $1::text::xid8
 order by merchant_id, version;

-- name: horizon
-- The transaction below which every transaction has ended.
select pg_snapshot_xmin(pg_current_snapshot())::text;
