"""Postings that were given up and sent to the ledger again: who asked for it, and why.

What was known of a posting when it was given up is kept beside that, since the posting itself
starts anew. Both tables are only ever added to.
"""

from alembic import op

from migrations.schemas import execute_script, grant

revision = "payments_0007"
down_revision = "payments_0006"
branch_labels = None
depends_on = None

_RETRIES = """
create table payments.posting_retries (
    idempotency_key text collate "C" primary key,
    fingerprint bytea not null,
    operator text not null check (operator <> ''),
    reason text not null check (reason <> ''),
    asked_at timestamptz not null default now()
);
comment on column payments.posting_retries.fingerprint is 'What was asked for under the key.';

create table payments.retried_postings (
    posting_id uuid not null,
    idempotency_key text collate "C" not null,
    try_count integer not null,
    failure_reason text collate "C",
    failure_message text,
    primary key (posting_id, idempotency_key)
);
create index retried_postings_by_key on payments.retried_postings (idempotency_key);
"""

_ADDED_TO = {
    "posting_retries": "idempotency_key, fingerprint, operator, reason",
    "retried_postings": "posting_id, idempotency_key, try_count, failure_reason, failure_message",
}


def upgrade() -> None:
    execute_script(_RETRIES)
    for table, columns in _ADDED_TO.items():
        op.execute(
            f"create trigger refuse_change before update or delete or truncate on payments.{table}"
            " for each statement execute function payments.refuse_change()"
        )
        # Also where session_replication_role would silence ordinary triggers.
        op.execute(f"alter table payments.{table} enable always trigger refuse_change")
        grant(f"select, insert ({columns})", on=f"payments.{table}")
