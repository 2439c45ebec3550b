"""The journal: balanced transactions that are only ever added, and the blocks that seal them."""

from alembic import op

from migrations.schemas import create_schema, execute_script, grant

revision = "ledger_0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = None

_TABLES = """
create table ledger.epochs (
    epoch integer primary key,
    system_identifier bigint not null,
    opened_at timestamptz not null default now()
);
comment on table ledger.epochs is
    'One row for each server the journal has lived on: transaction ids begin anew on another.';
insert into ledger.epochs (epoch, system_identifier)
select 1, system_identifier from pg_control_system();

create table ledger.ledger_transactions (
    id uuid primary key,
    reference_id text collate "C" not null check (length(reference_id) between 1 and 255),
    idempotency_key text collate "C" not null unique
        check (length(idempotency_key) between 1 and 255),
    fingerprint bytea not null check (length(fingerprint) = 32),
    leg_count integer not null check (leg_count between 2 and 10000),
    epoch integer not null default 1,
    written_in xid8 not null default pg_current_xact_id(),
    created_at timestamptz not null default now()
);
create index ledger_transactions_by_reference on ledger.ledger_transactions (reference_id, id);
create index ledger_transactions_by_writing on ledger.ledger_transactions (epoch, written_in);

-- A leg's number lies between one and its header's leg_count and is taken once, and one statement
-- brings all of them: no leg can be missing, and no number is left for one that comes late.
create table ledger.ledger_entries (
    id uuid not null default uuidv7(),
    transaction_id uuid not null,
    leg integer not null check (leg >= 1),
    account text collate "C" not null check (length(account) between 1 and 255),
    amount bigint not null check (amount <> 0),
    currency text collate "C" not null
        check (length(currency) = 3 and currency = upper(currency)),
    created_at timestamptz not null default now(),
    primary key (transaction_id, leg)
);
-- A balance is a sum over this index alone; autovacuum keeps its pages known to be visible to all.
create index ledger_entries_by_account
    on ledger.ledger_entries (account, currency, created_at, id) include (amount);
alter table ledger.ledger_entries set (autovacuum_vacuum_insert_scale_factor = 0.02);

create table ledger.blocks (
    number bigint primary key check (number >= 1),
    epoch integer not null,
    from_xid xid8 not null,
    below_xid xid8 not null,
    transaction_count bigint not null check (transaction_count > 0),
    entry_count bigint not null check (entry_count > 0),
    digest bytea not null check (length(digest) = 32),
    previous_hash bytea not null check (length(previous_hash) = 32),
    hash bytea not null unique check (length(hash) = 32),
    sealed_at timestamptz not null default now(),
    check (from_xid < below_xid)
);
comment on table ledger.blocks is 'Each seals a range of transactions and the block before it.';
"""

# A guard's plan is made once and kept while the tables grow: made when they are small it would read
# them whole for ever, which is slow and, under SERIALIZABLE, a conflict with every other writer.
_BY_INDEX = "set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off"

_BALANCE_GUARD = f"""
create function ledger.refuse_unbalanced_entries() returns trigger language plpgsql
{_BY_INDEX} as $$
declare
    broken record;
begin
    select legs.transaction_id, header.leg_count, sum(legs.count) as count,
           bool_or(legs.total <> 0) as unbalanced, max(legs.last) as last
      into broken
      from (select transaction_id, currency, count(*) as count, sum(amount) as total,
                   max(leg) as last
              from new_entries group by transaction_id, currency) as legs
      left join ledger.ledger_transactions as header on header.id = legs.transaction_id
     group by legs.transaction_id, header.leg_count
    having header.leg_count is null
        or bool_or(legs.total <> 0)
        or sum(legs.count) <> header.leg_count
        or max(legs.last) <> header.leg_count
     limit 1;
    if not found then
        return null;
    elsif broken.leg_count is null then
        raise exception 'entries of transaction % which has no header', broken.transaction_id
            using errcode = 'check_violation';
    elsif broken.unbalanced then
        raise exception 'transaction % does not balance to zero', broken.transaction_id
            using errcode = 'check_violation';
    end if;
    raise exception 'transaction % has % legs at once where its header counts %',
        broken.transaction_id, broken.count, broken.leg_count
        using errcode = 'check_violation';
end
$$;
create trigger refuse_unbalanced after insert on ledger.ledger_entries
    referencing new table as new_entries
    for each statement execute function ledger.refuse_unbalanced_entries();
"""

_HEADER_GUARD = f"""
create function ledger.refuse_empty_transactions() returns trigger language plpgsql
{_BY_INDEX} as $$
declare
    lonely uuid;
begin
    -- The entries' own guard lets legs in only all at once: where the last one is, all are.
    select header.id into lonely
      from new_headers as header
     where not exists (select from ledger.ledger_entries as entry
                        where entry.transaction_id = header.id and entry.leg = header.leg_count)
     limit 1;
    if found then
        raise exception 'transaction % has no entries', lonely using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_empty after insert on ledger.ledger_transactions
    referencing new table as new_headers
    for each statement execute function ledger.refuse_empty_transactions();
"""

_APPEND_ONLY_GUARD = """
create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % refused: the ledger is append-only', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
"""

# A dump restored on another server begins another epoch there; `migrate` calls this after each run.
_SETTLE_IN = """
create function ledger.settle_in() returns void language plpgsql as $$
declare
    here constant bigint := (select system_identifier from pg_control_system());
    last constant ledger.epochs := (select epochs from ledger.epochs order by epoch desc limit 1);
begin
    if last.system_identifier is distinct from here then
        insert into ledger.epochs (epoch, system_identifier) values (last.epoch + 1, here);
        execute format('alter table ledger.ledger_transactions alter column epoch set default %s',
                       last.epoch + 1);
    end if;
end
$$;
revoke execute on function ledger.settle_in() from public;
"""

_TABLES_GUARDED = ("ledger_transactions", "ledger_entries", "blocks", "epochs")
_ALWAYS = (
    ("ledger_transactions", "refuse_empty"),
    ("ledger_entries", "refuse_unbalanced"),
    *((table, "refuse_change") for table in _TABLES_GUARDED),
)


def upgrade() -> None:
    create_schema("ledger")
    execute_script(_TABLES)
    execute_script(_BALANCE_GUARD)
    execute_script(_HEADER_GUARD)
    execute_script(_APPEND_ONLY_GUARD)
    execute_script(_SETTLE_IN)
    for table in _TABLES_GUARDED:
        op.execute(
            f"create trigger refuse_change before update or delete or truncate on ledger.{table}"
            " for each statement execute function ledger.refuse_change()"
        )
    for table, trigger in _ALWAYS:
        # Also where session_replication_role would silence ordinary triggers.
        op.execute(f"alter table ledger.{table} enable always trigger {trigger}")
    _grant_to_application()


def _grant_to_application() -> None:
    grant(
        "select, insert (id, reference_id, idempotency_key, fingerprint, leg_count)",
        on="ledger.ledger_transactions",
    )
    grant(
        "select, insert (id, transaction_id, leg, account, amount, currency)",
        on="ledger.ledger_entries",
    )
    grant(
        "select, insert (number, epoch, from_xid, below_xid, transaction_count, entry_count,"
        " digest, previous_hash, hash)",
        on="ledger.blocks",
    )
    grant("select", on="ledger.epochs")
