"""The parts of payments: steps with their headroom, attempts, and postings to the ledger."""

from alembic import op

from migrations.schemas import execute_script, grant

revision = "payments_0002"
down_revision = "payments_0001"
branch_labels = None
depends_on = None

# A row is written once and changed two or three times: pages keep room, and the vacuum comes often.
_STORAGE = """with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
)"""
_MONEY = "bigint not null default 0 check"
_PARTS = f"""
create table payments.steps (
    id uuid primary key,
    payment_id uuid not null,
    index smallint not null check (index >= 0),
    state text collate "C" not null check (state in (
        'pending', 'processing', 'requires_action', 'in_doubt', 'authorized', 'captured',
        'failed', 'voided', 'refunded', 'skipped')),
    amount bigint not null check (amount >= 0),
    authorized {_MONEY} (authorized >= 0),
    captured {_MONEY} (captured >= 0),
    refunded {_MONEY} (refunded >= 0),
    refund_reserved {_MONEY} (refund_reserved >= 0),
    disputed {_MONEY} (disputed >= 0),
    excess {_MONEY} (excess >= 0),
    platform_fee {_MONEY} (platform_fee >= 0),
    processor_id text collate "C",
    processor_reference text collate "C",
    error_code text collate "C",
    retryable boolean not null default false,
    latency_ms integer not null default 0,
    unique (payment_id, index),
    constraint steps_headroom check (
        refunded::numeric + refund_reserved + disputed <= captured::numeric + excess)
) {_STORAGE};
create index steps_by_reference on payments.steps (processor_reference)
    where processor_reference is not null;

create table payments.attempts (
    id uuid primary key,
    payment_id uuid not null,
    step_id uuid not null,
    number smallint not null check (number >= 1),
    operation text collate "C" not null
        check (operation in ('authorize', 'capture', 'void', 'refund')),
    processor_id text collate "C" not null,
    amount bigint not null check (amount > 0),
    processor_reference text collate "C",
    idempotency_key text collate "C" not null unique,
    key_expires_at timestamptz not null,
    state text collate "C" not null check (state in (
        'open', 'requires_action', 'pending', 'in_doubt', 'succeeded', 'failed')),
    record bytea,
    created_at timestamptz not null,
    settled_at timestamptz,
    unique (payment_id, number),
    check (operation = 'authorize' or processor_reference is not null),
    check ((settled_at is not null) = (state in ('succeeded', 'failed')))
) {_STORAGE};
comment on column payments.attempts.record is 'All that the router told of it.';
create unique index attempts_one_open_a_step on payments.attempts (step_id)
    where operation in ('authorize', 'capture', 'void')
      and state in ('open', 'requires_action', 'pending', 'in_doubt');

create table payments.postings (
    id uuid primary key,
    payment_id uuid not null,
    kind text collate "C" not null check (kind in (
        'capture', 'refund', 'dispute_withdrawal', 'dispute_reinstatement', 'dispute_fee',
        'late_success', 'late_success_reversal')),
    idempotency_key text collate "C" not null unique,
    amount bigint not null check (amount > 0),
    currency text collate "C" not null,
    entries jsonb not null,
    state text collate "C" not null default 'pending'
        check (state in ('pending', 'posted', 'needs_reconciliation')),
    due_at timestamptz not null default now(),
    try_count integer not null default 0,
    transaction_id uuid,
    failure_reason text collate "C",
    failure_message text,
    created_at timestamptz not null,
    posted_at timestamptz,
    check ((state = 'posted') = (transaction_id is not null)),
    check ((state = 'posted') = (posted_at is not null))
) {_STORAGE};
create index postings_due on payments.postings (due_at) where state = 'pending';
create index postings_by_payment on payments.postings (payment_id);
create index postings_rejected on payments.postings (id) where state = 'needs_reconciliation';
"""

_TABLES = ("steps", "attempts", "postings")
_STEP_CHANGES = (
    "state, authorized, captured, refunded, refund_reserved, disputed, excess, platform_fee,"
    " processor_id, processor_reference, error_code, retryable, latency_ms"
)
_ATTEMPT_CHANGES = "state, record, settled_at"
_POSTING_CHANGES = (
    "state, due_at, try_count, transaction_id, failure_reason, failure_message, posted_at"
)


def upgrade() -> None:
    execute_script(_PARTS)
    for table in _TABLES:
        op.execute(
            f"create trigger refuse_change before delete or truncate on payments.{table}"
            " for each statement execute function payments.refuse_change()"
        )
        # Also where session_replication_role would silence ordinary triggers.
        op.execute(f"alter table payments.{table} enable always trigger refuse_change")
    _grant_to_application()


def _grant_to_application() -> None:
    grant(
        "select, insert (id, payment_id, index, amount, "
        f"{_STEP_CHANGES}), update ({_STEP_CHANGES})",
        on="payments.steps",
    )
    grant(
        "select, insert (id, payment_id, step_id, number, operation, processor_id, amount,"
        f" processor_reference, idempotency_key, key_expires_at, created_at, {_ATTEMPT_CHANGES}),"
        f" update ({_ATTEMPT_CHANGES})",
        on="payments.attempts",
    )
    grant(
        "select, insert (id, payment_id, kind, idempotency_key, amount, currency, entries,"
        f" created_at), update ({_POSTING_CHANGES})",
        on="payments.postings",
    )
