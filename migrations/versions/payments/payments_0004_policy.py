"""Quotas: what users, API keys and merchants have drawn of what a merchant's policy allows."""

from migrations.schemas import execute_script, grant

revision = "payments_0004"
down_revision = "payments_0003"
branch_labels = None
depends_on = None

# A row is rewritten with every draw, and no index holds what changes: the page keeps room for it.
_QUOTAS = """
create table payments.quotas (
    merchant_id uuid not null,
    rule text collate "C" not null check (rule <> ''),
    subject text collate "C" not null check (length(subject) between 1 and 255),
    entries jsonb not null check (jsonb_typeof(entries) = 'array'),
    ends_at timestamptz not null,
    primary key (merchant_id, rule, subject)
) with (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
);
comment on table payments.quotas is
    'What was drawn of each quota, and is not over yet. It counts, and holds no money.';
comment on column payments.quotas.entries is
    'Oldest first, each [moment in microseconds since 1970, count, amount in minor units].';
comment on column payments.quotas.ends_at is
    'When the newest entry leaves the window; from then on the row says nothing.';
"""


def upgrade() -> None:
    execute_script(_QUOTAS)
    grant(
        "select, insert (merchant_id, rule, subject, entries, ends_at), update (entries, ends_at),"
        " delete",
        on="payments.quotas",
    )
