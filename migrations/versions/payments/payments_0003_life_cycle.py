"""The whole life of a payment: who drives it, refunds, disputes, what processors told unasked."""

from alembic import op

from migrations.schemas import execute_script, grant

revision = "payments_0003"
down_revision = "payments_0002"
branch_labels = None
depends_on = None

_STORAGE = """with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
)"""

_COLUMNS = """
alter table payments.payments
    add column capture_amount bigint check (capture_amount > 0),
    add column withdrawn boolean not null default false,
    add column due_at timestamptz,
    add column lease_epoch bigint not null default 0,
    add column lease_until timestamptz;
comment on column payments.payments.capture_amount is 'What is to be taken; null for nothing yet.';
comment on column payments.payments.due_at is
    'When someone has to go on with it; null when only another call or event can.';
comment on column payments.payments.lease_epoch is 'How often someone began to drive it.';
comment on column payments.payments.lease_until is
    'Until when its driver may be trusted to be alive; null when nobody drives it.';
create index payments_due on payments.payments (due_at) where due_at is not null;

alter table payments.steps
    add column fee_returned bigint not null default 0 check (fee_returned >= 0),
    add constraint steps_fee_returned check (fee_returned <= platform_fee);

alter table payments.attempts
    add column part_id uuid,
    add column result_reference text collate "C",
    add column late boolean not null default false,
    add column lookup_count integer not null default 0 check (lookup_count >= 0),
    add column look_up_at timestamptz,
    add column evidence jsonb,
    add check (part_id is null or operation = 'refund');
comment on column payments.attempts.result_reference is
    'The processor''s own id of what the attempt made there.';
comment on column payments.attempts.late is
    'Whether it gives back what succeeded after the payment had failed or gone on without it.';
create unique index attempts_one_a_part on payments.attempts (part_id) where part_id is not null;
create index attempts_by_reference on payments.attempts (result_reference)
    where result_reference is not null;
drop index payments.attempts_one_open_a_step;
create unique index attempts_one_open_a_step on payments.attempts (step_id)
    where operation in ('authorize', 'capture', 'void') and not late
      and state in ('open', 'requires_action', 'pending', 'in_doubt');
create unique index attempts_one_giving_back on payments.attempts (step_id, processor_reference)
    where late and state <> 'failed';

alter table payments.idempotency add column refund_id uuid;
create index idempotency_unanswered on payments.idempotency (payment_id) where answer is null;
"""

_PARTS = f"""
create table payments.refunds (
    id uuid primary key,
    payment_id uuid not null,
    amount bigint not null check (amount > 0),
    fee_returned bigint not null default 0 check (fee_returned >= 0),
    reason text collate "C" not null,
    state text collate "C" not null check (state in ('pending', 'succeeded', 'failed')),
    idempotency_key text collate "C" not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
) {_STORAGE};
comment on column payments.refunds.idempotency_key is
    'The key it was asked for under; empty for one that nobody asked for by a call.';
create index refunds_by_payment on payments.refunds (payment_id, id);
create index refunds_by_state on payments.refunds (state, id);

create table payments.refund_parts (
    id uuid primary key,
    refund_id uuid not null,
    payment_id uuid not null,
    step_id uuid not null,
    position smallint not null check (position >= 0),
    amount bigint not null check (amount > 0),
    fee_returned bigint not null default 0 check (fee_returned >= 0),
    state text collate "C" not null check (state in ('pending', 'succeeded', 'failed')),
    processor_id text collate "C" not null,
    processor_reference text collate "C",
    error_code text collate "C",
    unique (refund_id, position)
) {_STORAGE};
create index refund_parts_by_payment on payments.refund_parts (payment_id);
create unique index refund_parts_by_reference
    on payments.refund_parts (processor_id, processor_reference)
    where processor_reference is not null;

create table payments.disputes (
    id uuid primary key,
    payment_id uuid not null,
    step_id uuid not null,
    state text collate "C" not null check (state in ('opened', 'won', 'lost')),
    amount bigint not null check (amount > 0),
    excess bigint not null default 0 check (excess >= 0 and excess <= amount),
    fee bigint not null default 0 check (fee >= 0),
    funds_withdrawn boolean not null default false,
    funds_reinstated boolean not null default false,
    reason text collate "C" not null,
    processor_id text collate "C" not null,
    processor_reference text collate "C" not null,
    opened_at timestamptz not null,
    closed_at timestamptz,
    unique (processor_id, processor_reference),
    check ((closed_at is not null) = (state in ('won', 'lost'))),
    check (funds_withdrawn or not funds_reinstated)
);
create index disputes_by_payment on payments.disputes (payment_id, id);

create table payments.applied_events (
    processor_id text collate "C" not null,
    event_id text collate "C" not null,
    payment_id uuid not null,
    webhook_event_id uuid,
    native_type text collate "C" not null,
    disposition text collate "C" not null
        check (disposition in ('applied', 'known', 'stale', 'ignored')),
    message text collate "C" not null,
    occurred_at timestamptz not null,
    applied_at timestamptz not null,
    primary key (processor_id, event_id)
);
comment on table payments.applied_events is
    'Each event of a processor that was matched to a payment, with what it did: applied once.';
create index applied_events_by_payment on payments.applied_events (payment_id, applied_at);
"""

_GUARDS = """
create function payments.refuse_other_end() returns trigger language plpgsql
set enable_nestloop = off as $$
begin
    if exists (select from old_rows as before join new_rows as after on after.id = before.id
                where before.state in ('succeeded', 'failed') and after.state <> before.state) then
        raise exception 'what has ended in %.% ends once', tg_table_schema, tg_table_name
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;
"""

_TABLES = ("refunds", "refund_parts", "disputes", "applied_events")
_ENDING = ("attempts", "refunds", "refund_parts")


def upgrade() -> None:
    for script in (_COLUMNS, _PARTS, _GUARDS):
        execute_script(script)
    for table in _TABLES:
        op.execute(
            f"create trigger refuse_change before delete or truncate on payments.{table}"
            " for each statement execute function payments.refuse_change()"
        )
        _always(table, "refuse_change")
    for table in _ENDING:
        op.execute(
            f"create trigger refuse_other_end after update on payments.{table}"
            " referencing old table as old_rows new table as new_rows"
            " for each statement execute function payments.refuse_other_end()"
        )
        _always(table, "refuse_other_end")
    _grant_to_application()


def _always(table: str, trigger: str) -> None:
    # Also where session_replication_role would silence ordinary triggers.
    op.execute(f"alter table payments.{table} enable always trigger {trigger}")


def _grant_to_application() -> None:
    grant(
        "insert (capture_amount, withdrawn, due_at, lease_epoch, lease_until),"
        " update (request, capture_amount, withdrawn, due_at, lease_epoch, lease_until)",
        on="payments.payments",
    )
    grant("insert (fee_returned), update (fee_returned, amount)", on="payments.steps")
    grant(
        "insert (part_id, result_reference, late, lookup_count, look_up_at, evidence),"
        " update (result_reference, lookup_count, look_up_at, evidence)",
        on="payments.attempts",
    )
    grant("insert (refund_id)", on="payments.idempotency")
    grant(
        "select, insert (id, payment_id, amount, fee_returned, reason, state, idempotency_key,"
        " created_at, updated_at), update (fee_returned, state, updated_at)",
        on="payments.refunds",
    )
    grant(
        "select, insert (id, refund_id, payment_id, step_id, position, amount, fee_returned, state,"
        " processor_id, processor_reference, error_code),"
        " update (fee_returned, state, processor_reference, error_code)",
        on="payments.refund_parts",
    )
    grant(
        "select, insert (id, payment_id, step_id, state, amount, excess, fee, funds_withdrawn,"
        " funds_reinstated, reason, processor_id, processor_reference, opened_at, closed_at),"
        " update (state, amount, excess, fee, funds_withdrawn, funds_reinstated, reason, opened_at,"
        " closed_at)",
        on="payments.disputes",
    )
    grant(
        "select, insert (processor_id, event_id, payment_id, webhook_event_id, native_type,"
        " disposition, message, occurred_at, applied_at)",
        on="payments.applied_events",
    )
