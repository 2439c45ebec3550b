"""Payments: their states and how they changed, their plans, and the keys that made them."""

from alembic import op

from migrations.schemas import create_schema, execute_script, grant

revision = "payments_0001"
down_revision = None
branch_labels = ("payments",)
depends_on = None

# A row is written once and changed two or three times: pages keep room, and the vacuum comes often.
_STORAGE = """with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
)"""
_STATES = """
    ('created', 'confirming', 'failed', 'authorized', 'captured', 'refunded', 'disputed', 'voided')
"""

_PAYMENTS = f"""
create table payments.allowed_moves (
    from_state text collate "C" not null check (from_state in {_STATES}),
    to_state text collate "C" not null check (to_state in {_STATES}),
    primary key (from_state, to_state)
);
comment on table payments.allowed_moves is 'Every way in which a payment may change its state.';
insert into payments.allowed_moves values
    ('created', 'confirming'), ('confirming', 'failed'), ('confirming', 'authorized'),
    ('authorized', 'captured'), ('authorized', 'voided'),
    ('captured', 'refunded'), ('captured', 'disputed');

create table payments.payments (
    id uuid primary key,
    merchant_id uuid not null,
    version bigint not null check (version >= 1),
    state text collate "C" not null check (state in {_STATES}),
    amount bigint not null check (amount > 0),
    currency text collate "C" not null check (currency ~ '^[A-Z]{{3}}$'),
    user_id text collate "C" check (length(user_id) between 1 and 255),
    idempotency_key text collate "C" not null check (length(idempotency_key) between 1 and 255),
    request_id uuid not null,
    request bytea not null,
    processor_reference text collate "C",
    error_code text collate "C",
    decline_code text collate "C",
    user_message text collate "C",
    error_step smallint,
    redirect_url text collate "C",
    redirect_return_url text collate "C",
    action_expires_at timestamptz,
    in_doubt_since timestamptz,
    needs_reconciliation boolean not null default false,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (merchant_id, idempotency_key),
    check ((redirect_url is null) = (action_expires_at is null)),
    check ((error_code is null) = (error_step is null)),
    check (state <> 'failed' or error_code is not null)
) {_STORAGE};
comment on column payments.payments.request is 'The strict request, a CoreRequestContext.';
create index payments_by_merchant on payments.payments (merchant_id, id);
create index payments_by_user on payments.payments (user_id, id) where user_id is not null;
create index payments_by_state on payments.payments (state, id);
create index payments_by_creation on payments.payments (created_at);
create index payments_in_doubt on payments.payments (in_doubt_since)
    where in_doubt_since is not null;

create table payments.transitions (
    payment_id uuid not null,
    position bigint not null generated always as identity,
    from_state text collate "C" check (from_state in {_STATES}),
    to_state text collate "C" not null check (to_state in {_STATES}),
    cause text collate "C" not null check (cause <> ''),
    occurred_at timestamptz not null,
    primary key (payment_id, to_state)
);
comment on table payments.transitions is 'Each change of a payment''s state, and what made it.';

create table payments.plans (
    payment_id uuid primary key,
    digest text collate "C" not null,
    config_version bigint not null,
    plan bytea not null,
    created_at timestamptz not null default now()
);
comment on table payments.plans is 'The plan that was stored first; a payment has no other.';

create table payments.idempotency (
    merchant_id uuid not null,
    key text collate "C" not null check (length(key) between 1 and 255),
    operation text collate "C" not null,
    fingerprint bytea not null check (length(fingerprint) = 32),
    fields jsonb not null,
    payment_id uuid not null,
    request_id uuid not null,
    answer bytea,
    first_used_at timestamptz not null default now(),
    answered_at timestamptz,
    primary key (merchant_id, key),
    check ((answer is null) = (answered_at is null))
) {_STORAGE};
comment on column payments.idempotency.fields is
    'A digest of each field of the request, to name those in which another one differs.';
"""

# A guard's plan is made once and kept while the tables grow. Looking up in a table goes by index
# whatever the size was then; the rows of one statement are joined by hash, since a batch has many.
_BY_INDEX = "set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off"
_BY_HASH = "set enable_nestloop = off"

_STATE_GUARDS = f"""
create function payments.refuse_illegal_move() returns trigger language plpgsql
{_BY_HASH} as $$
declare
    broken record;
begin
    select before.id, before.state as from_state, after.state as to_state into broken
      from old_payments as before
      join new_payments as after on after.id = before.id and after.state <> before.state
      left join payments.allowed_moves as allowed
             on allowed.from_state = before.state and allowed.to_state = after.state
     where allowed.from_state is null
     limit 1;
    if found then
        raise exception 'payment % cannot go from % to %', broken.id, broken.from_state,
            broken.to_state using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_illegal_move after update on payments.payments
    referencing old table as old_payments new table as new_payments
    for each statement execute function payments.refuse_illegal_move();

create function payments.refuse_untold_state() returns trigger language plpgsql
{_BY_INDEX} as $$
declare
    broken record;
begin
    select payment.id, payment.state into broken
      from new_payments as payment
     where not exists (select from payments.transitions as transition
                        where transition.payment_id = payment.id
                          and transition.to_state = payment.state)
     limit 1;
    if found then
        raise exception 'payment % is %, and no transition tells why', broken.id, broken.state
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_untold_state after insert on payments.payments
    referencing new table as new_payments
    for each statement execute function payments.refuse_untold_state();
create trigger refuse_untold_move after update on payments.payments
    referencing new table as new_payments
    for each statement execute function payments.refuse_untold_state();

create function payments.refuse_skipped_beginning() returns trigger language plpgsql as $$
begin
    if exists (select from new_payments where state not in ('created', 'confirming')) then
        raise exception 'a payment begins as created or confirming'
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_skipped_beginning after insert on payments.payments
    referencing new table as new_payments
    for each statement execute function payments.refuse_skipped_beginning();

create function payments.refuse_illegal_transition() returns trigger language plpgsql
{_BY_INDEX} as $$
declare
    broken record;
begin
    select transition.payment_id, transition.from_state, transition.to_state into broken
      from new_transitions as transition
     where case when transition.from_state is null then transition.to_state <> 'created'
                else not exists (select from payments.allowed_moves as allowed
                                  where allowed.from_state = transition.from_state
                                    and allowed.to_state = transition.to_state)
                  or not exists (select from payments.transitions as earlier
                                  where earlier.payment_id = transition.payment_id
                                    and earlier.to_state = transition.from_state)
           end
     limit 1;
    if found then
        raise exception 'payment % cannot go from % to %', broken.payment_id, broken.from_state,
            broken.to_state using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_illegal_transition after insert on payments.transitions
    referencing new table as new_transitions
    for each statement execute function payments.refuse_illegal_transition();
"""

_KEEPING_GUARDS = f"""
create function payments.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % refused: what happened is only ever added to', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

create function payments.refuse_other_answer() returns trigger language plpgsql
{_BY_HASH} as $$
begin
    if exists (select from old_keys as before
                 join new_keys as after
                   on after.merchant_id = before.merchant_id and after.key = before.key
                where before.answer is not null and after.answer is distinct from before.answer)
    then
        raise exception 'an answer that was decided never changes'
            using errcode = 'check_violation';
    end if;
    return null;
end
$$;
create trigger refuse_other_answer after update on payments.idempotency
    referencing old table as old_keys new table as new_keys
    for each statement execute function payments.refuse_other_answer();
"""

_ADDED_TO = ("allowed_moves", "transitions", "plans")
_NEVER_REMOVED = ("payments", "idempotency")
_ALWAYS = (
    ("payments", "refuse_illegal_move"),
    ("payments", "refuse_untold_state"),
    ("payments", "refuse_untold_move"),
    ("payments", "refuse_skipped_beginning"),
    ("transitions", "refuse_illegal_transition"),
    ("idempotency", "refuse_other_answer"),
    *((table, "refuse_change") for table in (*_ADDED_TO, *_NEVER_REMOVED)),
)
_CHANGES = (
    "version, state, processor_reference, error_code, decline_code, user_message, error_step,"
    " redirect_url, redirect_return_url, action_expires_at, in_doubt_since, needs_reconciliation,"
    " updated_at"
)


def upgrade() -> None:
    create_schema("payments")
    for script in (_PAYMENTS, _STATE_GUARDS, _KEEPING_GUARDS):
        execute_script(script)
    for table in _ADDED_TO:
        _refuse("update or delete or truncate", table)
    for table in _NEVER_REMOVED:
        _refuse("delete or truncate", table)
    for table, trigger in _ALWAYS:
        # Also where session_replication_role would silence ordinary triggers.
        op.execute(f"alter table payments.{table} enable always trigger {trigger}")
    _grant_to_application()


def _refuse(changes: str, table: str) -> None:
    op.execute(
        f"create trigger refuse_change before {changes} on payments.{table}"
        " for each statement execute function payments.refuse_change()"
    )


def _grant_to_application() -> None:
    grant("select", on="payments.allowed_moves")
    grant(
        "select, insert (id, merchant_id, amount, currency, user_id, idempotency_key, request_id,"
        f" request, created_at, {_CHANGES}), update ({_CHANGES})",
        on="payments.payments",
    )
    grant(
        "select, insert (payment_id, from_state, to_state, cause, occurred_at)",
        on="payments.transitions",
    )
    grant("select, insert (payment_id, digest, config_version, plan)", on="payments.plans")
    grant(
        "select, insert (merchant_id, key, operation, fingerprint, fields, payment_id, request_id,"
        " answer, answered_at), update (answer, answered_at)",
        on="payments.idempotency",
    )
