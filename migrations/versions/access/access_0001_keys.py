"""Merchants and their API keys: a key is kept as a digest, and is only ever restricted further."""

from alembic import op

from migrations.schemas import create_schema, execute_script, grant

revision = "access_0001"
down_revision = None
branch_labels = ("access",)
depends_on = None

_TABLES = """
create table access.merchants (
    id uuid primary key,
    name text not null check (length(name) between 1 and 200),
    state text not null check (state in ('active', 'suspended')),
    contact_email text not null check (length(contact_email) <= 254),
    version bigint not null check (version >= 1),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    written_in xid8 not null default pg_current_xact_id()
);
create index merchants_by_writing on access.merchants (written_in);

create table access.api_keys (
    id uuid primary key,
    merchant_id uuid references access.merchants,
    name text not null check (length(name) between 1 and 100),
    hint text not null check (length(hint) <= 16),
    role text not null check (role in ('merchant', 'admin')),
    scopes text[] not null check (cardinality(scopes) >= 1),
    digest bytea not null unique check (length(digest) = 32),
    expires_at timestamptz,
    replaces_id uuid unique references access.api_keys,
    replaced_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null,
    written_in xid8 not null default pg_current_xact_id(),
    check ((role = 'merchant') = (merchant_id is not null))
);
comment on column access.api_keys.digest is
    'HMAC-SHA256 of the key under a secret that is not in the database.';
create index api_keys_by_merchant on access.api_keys (merchant_id, id);
create index api_keys_by_writing on access.api_keys (written_in);

create table access.key_uses (
    key_id uuid primary key references access.api_keys,
    last_used_at timestamptz not null
);
comment on table access.key_uses is
    'Apart from the keys, so that a use is no change that every process has to hear of.';

create table access.calls (
    merchant_id uuid,
    idempotency_key text collate "C" not null
        check (length(idempotency_key) between 1 and 255),
    said jsonb not null,
    subject_id uuid not null,
    created_at timestamptz not null default now(),
    unique nulls not distinct (merchant_id, idempotency_key)
);

create table access.pepper_marks (
    is_the_only_one boolean primary key default true check (is_the_only_one),
    mark bytea not null check (length(mark) = 32)
);
comment on table access.pepper_marks is
    'Tells whether a process has the secret under which the digests were made, not what it is.';
"""

_GUARDS = """
create function access.refuse_removal() returns trigger language plpgsql as $$
begin
    raise exception '% of % refused: what was given out stays on record', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
create trigger refuse_removal before delete or truncate on access.merchants
    for each statement execute function access.refuse_removal();
create trigger refuse_removal before delete or truncate on access.api_keys
    for each statement execute function access.refuse_removal();

create function access.restrict_only() returns trigger language plpgsql as $$
begin
    if (old.id, old.merchant_id, old.name, old.hint, old.role, old.scopes, old.digest,
        old.replaces_id, old.created_at)
       is distinct from
       (new.id, new.merchant_id, new.name, new.hint, new.role, new.scopes, new.digest,
        new.replaces_id, new.created_at)
       or (old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at)
       or (old.replaced_at is not null and new.replaced_at is distinct from old.replaced_at)
       or coalesce(new.expires_at, 'infinity') > coalesce(old.expires_at, 'infinity')
    then
        raise exception 'key % can only be restricted further', old.id
            using errcode = 'insufficient_privilege';
    end if;
    new.written_in := pg_current_xact_id();
    return new;
end
$$;
create trigger restrict_only before update on access.api_keys
    for each row execute function access.restrict_only();

create function access.next_version() returns trigger language plpgsql as $$
begin
    if new.version <> old.version + 1 or (old.id, old.created_at) <> (new.id, new.created_at) then
        raise exception 'merchant % goes from version % to the next', old.id, old.version
            using errcode = 'check_violation';
    end if;
    new.written_in := pg_current_xact_id();
    return new;
end
$$;
create trigger next_version before update on access.merchants
    for each row execute function access.next_version();

create function access.announce() returns trigger language plpgsql as $$
begin
    -- Only wakes who listens; what there is to tell is read from the tables.
    perform pg_notify('access_changes', '');
    return null;
end
$$;
create trigger announce after update on access.merchants
    for each statement execute function access.announce();
create trigger announce after update on access.api_keys
    for each statement execute function access.announce();
"""

_ALWAYS = {
    "merchants": ("refuse_removal", "next_version"),
    "api_keys": ("refuse_removal", "restrict_only"),
}


def upgrade() -> None:
    create_schema("access")
    execute_script(_TABLES)
    execute_script(_GUARDS)
    for table, triggers in _ALWAYS.items():
        for trigger in triggers:
            # Also where session_replication_role would silence ordinary triggers.
            op.execute(f"alter table access.{table} enable always trigger {trigger}")
    grant(
        "select, insert (id, name, state, contact_email, version, created_at, updated_at),"
        " update (name, state, contact_email, version, updated_at)",
        on="access.merchants",
    )
    grant(
        "select, insert (id, merchant_id, name, hint, role, scopes, digest, expires_at,"
        " replaces_id, created_at), update (expires_at, replaced_at, revoked_at)",
        on="access.api_keys",
    )
    grant("select, insert, update (last_used_at)", on="access.key_uses")
    grant(
        "select, insert (merchant_id, idempotency_key, said, subject_id)",
        on="access.calls",
    )
    grant("select, insert (mark)", on="access.pepper_marks")
