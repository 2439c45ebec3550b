-- The sandbox's store and durable record: one row for every entity, request, answer and delivery.

create table if not exists run (
    name  text primary key,
    value text not null
) without rowid;

-- Entities as they are now. The columns beside `data` are what lists are filtered and ordered by.
create table if not exists entities (
    id             text primary key,
    kind           text not null,
    account        text not null,
    sequence       integer not null,
    created        integer not null,
    payment_intent text,
    charge         text,
    customer       text,
    source         text,
    due_at         integer,
    data           text not null
) without rowid;

create index if not exists entities_listed on entities (kind, account, created, sequence);
create index if not exists entities_by_payment_intent on entities (payment_intent)
    where payment_intent is not null;
create index if not exists entities_by_charge on entities (charge) where charge is not null;
create index if not exists entities_by_customer on entities (customer) where customer is not null;
create index if not exists entities_by_source on entities (source) where source is not null;
create index if not exists entities_due on entities (due_at) where due_at is not null;

-- Every request that reached the processor, and what became of it.
create table if not exists attempts (
    sequence        integer primary key,
    request_id      text not null,
    account         text,
    at              integer not null,
    method          text not null,
    path            text not null,
    operation       text,
    idempotency_key text,
    parameters      text not null,
    outcome         text not null,
    status          integer,
    error_code      text,
    object_id       text,
    fault           text
);

-- The first answer to every idempotency key.
create table if not exists answers (
    account     text not null,
    key         text not null,
    created     integer not null,
    path        text not null,
    fingerprint text not null,
    request_id  text not null,
    status      integer not null,
    body        blob not null,
    primary key (account, key)
) without rowid;

-- Webhooks that are on their way, have arrived, or never will.
create table if not exists deliveries (
    id           integer primary key,
    event        text not null,
    endpoint     text not null,
    state        text not null,
    tries        integer not null,
    next_at      real not null,
    last_result  text
);

create index if not exists deliveries_by_event on deliveries (event);
create index if not exists deliveries_pending on deliveries (next_at) where state = 'pending';
