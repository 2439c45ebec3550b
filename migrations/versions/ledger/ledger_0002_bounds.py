"""A leg has a largest amount; the transactions about something are listed as they were written."""

from migrations.schemas import execute_script

revision = "ledger_0002"
down_revision = "ledger_0001"
branch_labels = None
depends_on = None

# What was written before the bound stands, for nothing may change it: the rows that come are held
# to it, and those that are there are not read.
_BOUND = """
alter table ledger.ledger_entries add constraint ledger_entries_amount_bounded
    check (amount between -1000000000000000 and 1000000000000000) not valid;
"""

_LISTING = """
drop index ledger.ledger_transactions_by_reference;
create index ledger_transactions_by_reference
    on ledger.ledger_transactions (reference_id, epoch, written_in);
"""


def upgrade() -> None:
    execute_script(_BOUND)
    execute_script(_LISTING)
