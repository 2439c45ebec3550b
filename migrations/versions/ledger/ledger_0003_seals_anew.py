"""Blocks are sealed anew, over text that no setting of a session changes, and over their time."""

from migrations.schemas import execute_script

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None

# No ledger had been released when the digest changed: its blocks say nothing to anybody yet, and
# the sealer makes them again of the rows, which stay.
_FORGET_BLOCKS = """
alter table ledger.blocks disable trigger refuse_change;
truncate ledger.blocks;
alter table ledger.blocks enable always trigger refuse_change;
"""


def upgrade() -> None:
    execute_script(_FORGET_BLOCKS)
