"""Bounds of a payment's parts: its fee, the number of its attempts, and what is kept of each.

A hold that was let go late and taken all the same is given back once more: there is one attempt of
each kind that gives a thing back, where before there was one in all.
"""

from migrations.schemas import execute_script

revision = "payments_0008"
down_revision = "payments_0007"
branch_labels = None
depends_on = None

_BOUNDS = """
alter table payments.steps
    add constraint steps_platform_fee check (platform_fee <= captured);

alter table payments.attempts
    alter column number type integer,
    alter column record type bytea[] using case when record is not null then array[record] end;
alter table payments.attempts rename column record to records;
alter table payments.attempts
    add constraint attempts_records check (cardinality(records) between 1 and 8);
comment on column payments.attempts.records is
    'What the router told of it: the first two times and the last six.';

drop index payments.attempts_one_giving_back;
create unique index attempts_one_giving_back
    on payments.attempts (step_id, processor_reference, operation)
    where late and state <> 'failed';
"""


def upgrade() -> None:
    execute_script(_BOUNDS)
