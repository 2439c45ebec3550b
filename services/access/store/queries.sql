-- name: claim_call
-- Takes an idempotency key; whoever comes second waits for the first and gets no row.
insert into access.calls (merchant_id, idempotency_key, said, subject_id)
values ($1::uuid, $2::text, $3::text::jsonb, $4::uuid)
    on conflict do nothing
returning subject_id;

-- name: find_call
-- What an idempotency key stands for.
select said::text as said, subject_id
  from access.calls
 where merchant_id is not distinct from $1::uuid and idempotency_key = $2;

-- name: add_merchant
-- A merchant at its first version.
insert into access.merchants (id, name, state, contact_email, version, created_at, updated_at)
values ($1::uuid, $2, $3, $4, $5, $6, $7);

-- name: change_merchant
-- The next version, if the caller has read the newest; whoever has not gets no row.
update access.merchants
   set name = coalesce($3::text, name),
       contact_email = coalesce($4::text, contact_email),
       state = coalesce($5::text, state),
       version = version + 1,
       updated_at = $6
 where id = $1::uuid and version = $2
returning id, name, state, contact_email, version, created_at, updated_at;

-- name: find_merchant
-- One merchant as it is now.
select id, name, state, contact_email, version, created_at, updated_at
  from access.merchants
 where id = $1::uuid;

-- name: list_merchants
-- A page of merchants, oldest first.
select id, name, state, contact_email, version, created_at, updated_at
  from access.merchants
 where ($1::text is null or state = $1) and ($2::uuid is null or id > $2)
 order by id
 limit $3;

-- name: mark_pepper
-- The first key that is made says under which pepper keys are kept.
insert into access.pepper_marks (mark) values ($1) on conflict do nothing;

-- name: pepper_mark
-- Under which pepper keys are kept; nothing as long as there is no key.
select mark from access.pepper_marks;

-- name: add_key
-- A key, without the key.
insert into access.api_keys
       (id, merchant_id, name, hint, role, scopes, digest, expires_at, replaces_id, created_at)
values ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9::uuid, $10);

-- name: lock_key
-- One key, which nobody else changes from here on; another merchant's is not found.
select id, merchant_id, name, hint, role, scopes, expires_at, replaces_id, replaced_at,
       revoked_at, created_at, null::timestamptz as last_used_at
  from access.api_keys
 where id = $1::uuid and ($2::uuid is null or merchant_id = $2)
   for update;

-- name: replace_key
-- From here on the key is taken only until it expires.
update access.api_keys set replaced_at = $2, expires_at = $3 where id = $1::uuid;

-- name: revoke_key
-- From here on the key is not taken; when it was revoked first is kept.
update access.api_keys set revoked_at = $2 where id = $1::uuid and revoked_at is null;

-- name: find_key
-- One key by its id.
select k.id, k.merchant_id, k.name, k.hint, k.role, k.scopes, k.expires_at, k.replaces_id,
       k.replaced_at, k.revoked_at, k.created_at, u.last_used_at
  from access.api_keys as k left join access.key_uses as u on u.key_id = k.id
 where k.id = $1::uuid;

-- name: find_credential
-- The key that a caller has shown, and whether its merchant may ask for payments.
select k.id, k.merchant_id, k.name, k.hint, k.role, k.scopes, k.expires_at, k.replaces_id,
       k.replaced_at, k.revoked_at, k.created_at, null::timestamptz as last_used_at,
       k.digest, coalesce(m.state = 'active', false) as merchant_active
  from access.api_keys as k left join access.merchants as m on m.id = k.merchant_id
 where k.digest = $1;

-- name: list_keys
-- A page of keys, newest first, in the state that they have at a moment.
select k.id, k.merchant_id, k.name, k.hint, k.role, k.scopes, k.expires_at, k.replaces_id,
       k.replaced_at, k.revoked_at, k.created_at, u.last_used_at
  from access.api_keys as k left join access.key_uses as u on u.key_id = k.id
 where ($1::uuid is null or k.merchant_id = $1)
   and ($2::text is null
        or $2 = case when k.revoked_at is not null then 'revoked'
                     when k.expires_at <= $3::timestamptz then 'expired'
                     when k.replaced_at is not null then 'rotated'
                     else 'active' end)
   and ($4::uuid is null or k.id < $4)
 order by k.id desc
 limit $5;

-- name: note_uses
-- When keys were used last; by id, so that two processes do not wait for one another in a ring.
insert into access.key_uses (key_id, last_used_at)
select key_id, used_at
  from unnest($1::uuid[], $2::timestamptz[]) as used (key_id, used_at)
 order by key_id
    on conflict (key_id) do update
   set last_used_at = greatest(key_uses.last_used_at, excluded.last_used_at);

-- name: changed_since
-- Keys and merchants that were written by transactions at or past a horizon below which every
-- transaction has ended: what commits late is still found. Some come twice.
select id, true as is_key from access.api_keys where written_in >= $1::text::xid8
 union all
select id, false from access.merchants where written_in >= $1::text::xid8;

-- name: horizon
-- The transaction below which every transaction has ended.
select pg_snapshot_xmin(pg_current_snapshot())::text;
