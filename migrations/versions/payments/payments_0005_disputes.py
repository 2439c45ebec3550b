"""Postings for disputes that were lost, and for refunds that came back after they were paid out."""

from migrations.schemas import execute_script

revision = "payments_0005"
down_revision = "payments_0004"
branch_labels = None
depends_on = None

_KINDS = """
alter table payments.postings
    drop constraint postings_kind_check,
    add constraint postings_kind_check check (kind in (
        'capture', 'refund', 'refund_reversal', 'dispute_withdrawal', 'dispute_reinstatement',
        'dispute_loss', 'dispute_fee', 'late_success', 'late_success_reversal'));
"""


def upgrade() -> None:
    execute_script(_KINDS)
