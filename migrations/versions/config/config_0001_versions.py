"""Merchant configurations: versions that are only ever added, one after another."""

from alembic import op

from migrations.schemas import create_schema, execute_script, grant

revision = "config_0001"
down_revision = None
branch_labels = ("config",)
depends_on = None

_TABLE = """
create table config.versions (
    merchant_id uuid not null,
    version bigint not null check (version >= 1),
    settings jsonb not null,
    comment text not null,
    author text not null check (author <> ''),
    idempotency_key text collate "C" not null
        check (length(idempotency_key) between 1 and 255),
    fingerprint bytea not null check (length(fingerprint) = 32),
    written_in xid8 not null default pg_current_xact_id(),
    created_at timestamptz not null default now(),
    primary key (merchant_id, version),
    unique (merchant_id, idempotency_key)
);
comment on table config.versions is 'What each version says never changes: a change adds the next.';
create index versions_by_writing on config.versions (written_in);
"""

_GUARDS = """
create function config.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % refused: a version never changes', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
create trigger refuse_change before update or delete or truncate on config.versions
    for each statement execute function config.refuse_change();

create function config.refuse_gap() returns trigger language plpgsql as $$
declare
    lonely record;
begin
    select added.merchant_id, added.version into lonely
      from new_versions as added
     where added.version > 1
       and not exists (select from config.versions as previous
                        where previous.merchant_id = added.merchant_id
                          and previous.version = added.version - 1)
     limit 1;
    if found then
        raise exception 'version % of merchant % follows no version', lonely.version,
            lonely.merchant_id using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_gap after insert on config.versions
    referencing new table as new_versions
    for each statement execute function config.refuse_gap();

create function config.announce() returns trigger language plpgsql as $$
begin
    -- Only wakes who listens; what there is to tell is read from the table.
    perform pg_notify('config_versions', '');
    return null;
end
$$;
create trigger announce after insert on config.versions
    for each statement execute function config.announce();
"""

_ALWAYS = ("refuse_change", "refuse_gap")


def upgrade() -> None:
    create_schema("config")
    execute_script(_TABLE)
    execute_script(_GUARDS)
    for trigger in _ALWAYS:
        # Also where session_replication_role would silence ordinary triggers.
        op.execute(f"alter table config.versions enable always trigger {trigger}")
    grant(
        "select, insert (merchant_id, version, settings, comment, author, idempotency_key,"
        " fingerprint)",
        on="config.versions",
    )
