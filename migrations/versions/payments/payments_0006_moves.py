"""One commit may hold two moves of a payment, when it tells of both.

A processor that says that it has taken an amount says by that that it held it, so a payment goes
from confirming to captured at once: over authorized, and with a transition for each.
"""

from migrations.schemas import execute_script

revision = "payments_0006"
down_revision = "payments_0005"
branch_labels = None
depends_on = None

# A guard's plan is made once and kept while the tables grow: transitions are found by index.
_GUARD = """
create or replace function payments.refuse_illegal_move() returns trigger language plpgsql
set enable_nestloop = off set enable_seqscan = off as $$
declare
    moved record;
begin
    for moved in
        select before.id, before.state as from_state, after.state as to_state
          from old_payments as before
          join new_payments as after on after.id = before.id and after.state <> before.state
          left join payments.allowed_moves as allowed
                 on allowed.from_state = before.state and allowed.to_state = after.state
         where allowed.from_state is null
    loop
        if not exists (
            select from payments.transitions as first
              join payments.transitions as second
                on second.payment_id = first.payment_id and second.from_state = first.to_state
             where first.payment_id = moved.id and first.from_state = moved.from_state
               and second.to_state = moved.to_state) then
            raise exception 'payment % cannot go from % to %', moved.id, moved.from_state,
                moved.to_state using errcode = 'check_violation';
        end if;
    end loop;
    return null;
end
$$;
"""


def upgrade() -> None:
    execute_script(_GUARD)
