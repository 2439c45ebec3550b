"""Webhook events as processors delivered them, and how far their own lists have been compared."""

from migrations.schemas import create_schema, execute_script, grant

revision = "webhooks_0001"
down_revision = None
branch_labels = ("webhooks",)
depends_on = None

_EVENTS = """
create sequence webhooks.command_numbers;

create table webhooks.webhook_events (
    id uuid primary key,
    stripe_event_id text collate "C" not null unique
        check (length(stripe_event_id) between 1 and 255),
    processor_id text collate "C" not null check (length(processor_id) between 1 and 63),
    event_type text collate "C" not null check (length(event_type) <= 255),
    subject text collate "C" not null check (length(subject) between 1 and 255),
    raw_body bytea not null,
    payload jsonb,
    signature_verified boolean not null,
    state text collate "C" not null default 'pending'
        check (state in ('pending', 'processed', 'unmatched', 'ignored', 'failed')),
    processed boolean not null generated always as (state in ('processed', 'ignored')) stored,
    payment_id uuid,
    attempts integer not null default 0,
    unmatched_checks integer not null default 0,
    failure_reason text collate "C",
    failure_message text,
    dead_letter_id text collate "C",
    command_number bigint not null default nextval('webhooks.command_numbers'),
    occurred_at timestamptz,
    created_at timestamptz not null,
    processed_at timestamptz,
    due_at timestamptz,
    check (processed = (processed_at is not null)),
    check ((state = 'failed') = (failure_reason is not null and failure_message is not null))
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
comment on column webhooks.webhook_events.payload is
    'The body as JSON; null where PostgreSQL cannot hold what the body says, such as \\u0000.';
comment on column webhooks.webhook_events.subject is
    'What it is about, at which processor: events of one subject are applied in order.';
comment on column webhooks.webhook_events.due_at is
    'When it is to be looked at again; null while a command for that is under way.';

create index webhook_events_by_type on webhooks.webhook_events (event_type, id);
create index webhook_events_by_processed on webhooks.webhook_events (processed, id);
create index webhook_events_by_storing on webhooks.webhook_events (created_at);
create index webhook_events_by_payment on webhooks.webhook_events (payment_id, id)
    where payment_id is not null;
create index webhook_events_open on webhooks.webhook_events (state, created_at)
    where state in ('pending', 'unmatched', 'failed');
create index webhook_events_due on webhooks.webhook_events (due_at) where due_at is not null;
"""

_CALLS = """
create table webhooks.calls (
    idempotency_key text collate "C" primary key check (length(idempotency_key) between 1 and 255),
    fingerprint bytea not null check (length(fingerprint) = 32),
    count bigint not null,
    created_at timestamptz not null default now()
);
comment on table webhooks.calls is 'Replays and backfills, so that a repeat is told the same.';
"""

_COMPARISONS = """
create table webhooks.comparisons (
    processor_id text collate "C" primary key,
    seen_through timestamptz,
    compared_at timestamptz,
    next_at timestamptz not null default now()
);
comment on column webhooks.comparisons.seen_through is
    'On the processor''s clock: all it lists from before has been stored.';

create table webhooks.missing_events (
    processor_id text collate "C" not null,
    stripe_event_id text collate "C" not null,
    event_type text collate "C" not null,
    occurred_at timestamptz not null,
    noticed_at timestamptz not null,
    primary key (processor_id, stripe_event_id)
);
comment on table webhooks.missing_events is
    'What a processor lists and has not delivered, until it is stored one way or the other.';
"""


def upgrade() -> None:
    create_schema("webhooks")
    for script in (_EVENTS, _CALLS, _COMPARISONS):
        execute_script(script)
    grant("usage", on="sequence webhooks.command_numbers")
    # What was delivered stays as it came; only what became of it is written.
    grant(
        "select, insert, update (state, payment_id, attempts, unmatched_checks, failure_reason,"
        " failure_message, dead_letter_id, command_number, processed_at, due_at)",
        on="webhooks.webhook_events",
    )
    grant("select, insert, update (count)", on="webhooks.calls")
    grant("select, insert, update", on="webhooks.comparisons")
    grant("select, insert, delete", on="webhooks.missing_events")
