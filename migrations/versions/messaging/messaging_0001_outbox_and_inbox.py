"""Outbox and inbox: what waits to be carried, what waits to be handled, what was given up on."""

from migrations.schemas import create_schema, execute_script, grant

revision = "messaging_0001"
down_revision = None
branch_labels = ("messaging",)
depends_on = None

# Rows that wait are few and rows that are history are many: indexes on what waits are partial, and
# the vacuum comes often, since every row is written two or three times.
_OUTBOX = """
create table messaging.outbox (
    id text collate "C" primary key,
    position bigint not null generated always as identity,
    topic text collate "C" not null,
    key text collate "C" not null check (length(key) between 1 and 255),
    partition smallint not null check (partition between 0 and 15),
    sequence bigint not null,
    type text collate "C" not null,
    payload bytea not null,
    headers jsonb not null,
    occurred_at timestamptz not null,
    written_at timestamptz not null default clock_timestamp(),
    relayed_at timestamptz,
    due_at timestamptz,
    refusals integer not null default 0,
    error text,
    unique (key, sequence)
) with (
    fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
);
comment on table messaging.outbox is
    'Messages, each written in the transaction of the change it tells of; relayed_at is the mark.';
create index outbox_waiting on messaging.outbox (partition, position) where relayed_at is null;
create index outbox_parked on messaging.outbox (key)
    where relayed_at is null and due_at is not null;
create index outbox_by_age on messaging.outbox using brin (written_at);
"""

_INBOX = """
create table messaging.inbox (
    consumer text collate "C" not null,
    event_id text collate "C" not null,
    position bigint not null generated always as identity,
    topic text collate "C" not null,
    key text collate "C" not null,
    partition smallint not null check (partition between 0 and 15),
    sequence bigint not null,
    type text collate "C" not null,
    payload bytea,
    headers jsonb,
    occurred_at timestamptz not null,
    received_at timestamptz not null default clock_timestamp(),
    first_tried_at timestamptz,
    state text collate "C" not null default 'waiting' check (state in ('waiting', 'done', 'dead')),
    attempts integer not null default 0,
    due_at timestamptz,
    error text,
    finished_at timestamptz,
    primary key (consumer, event_id),
    check ((state = 'waiting') = (payload is not null and headers is not null)),
    check ((state = 'waiting') = (finished_at is null))
) with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
);
comment on table messaging.inbox is
    'Every message a consumer was given: the queue it works, and its memory of what it had.';
create index inbox_waiting on messaging.inbox (consumer, partition, position)
    where state = 'waiting';
create index inbox_parked on messaging.inbox (consumer, key)
    where state = 'waiting' and due_at is not null;
create index inbox_by_age on messaging.inbox using brin (received_at);
"""

_DEAD_LETTERS = """
create table messaging.dead_letters (
    id text collate "C" primary key,
    number bigint not null generated always as identity,
    consumer text collate "C" not null,
    event_id text collate "C" not null,
    topic text collate "C" not null,
    key text collate "C" not null,
    type text collate "C" not null,
    payload bytea not null,
    headers jsonb not null,
    occurred_at timestamptz not null,
    error text not null,
    attempts integer not null,
    first_tried_at timestamptz,
    died_at timestamptz not null default now(),
    replayed_at timestamptz
);
comment on table messaging.dead_letters is
    'What a consumer gave up on, whole, with the reason; a letter stays when it is replayed.';
create index dead_letters_by_death on messaging.dead_letters (died_at, id);
create unique index dead_letters_not_replayed on messaging.dead_letters (consumer, event_id)
    where replayed_at is null;

create table messaging.replays (
    idempotency_key text collate "C" primary key check (length(idempotency_key) between 1 and 255),
    fingerprint bytea not null check (length(fingerprint) = 32),
    replayed bigint not null,
    created_at timestamptz not null default now()
);
comment on table messaging.replays is 'Replays that were asked for, so that each happens once.';
"""

_ENGINES = """
create table messaging.subscriptions (
    consumer text collate "C" not null,
    topic text collate "C" not null,
    subscribed_at timestamptz not null default now(),
    primary key (consumer, topic)
);
comment on table messaging.subscriptions is
    'Whose inbox the PostgreSQL bus fills with what; to retire a consumer, delete its rows.';

create table messaging.intake_positions (
    consumer text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    next_position text collate "C" not null,
    primary key (consumer, topic, partition)
) with (fillfactor = 50);
comment on table messaging.intake_positions is
    'How far each consumer has copied each partition of a broker; moves with the inbox rows.';
"""

_TABLES = ("outbox", "inbox", "dead_letters", "replays", "subscriptions", "intake_positions")


def upgrade() -> None:
    create_schema("messaging")
    for script in (_OUTBOX, _INBOX, _DEAD_LETTERS, _ENGINES):
        execute_script(script)
    for table in ("outbox", "inbox", "dead_letters", "replays"):
        grant("select, insert, update, delete", on=f"messaging.{table}")
    grant("select, insert, update", on="messaging.intake_positions")
    grant("select, insert", on="messaging.subscriptions")
