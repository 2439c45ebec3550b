"""A posting knows the trace of its payment, so that booking it later is recorded there as well.

It is null where nothing is recorded, which is most often.
"""

from migrations.schemas import execute_script, grant

revision = "payments_0009"
down_revision = "payments_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute_script(
        """
        alter table payments.postings
            add column traceparent text collate "C" check (length(traceparent) = 55)
        """
    )
    grant("insert (traceparent)", on="payments.postings")
