"""An attempt knows whether it may take its amount with the hold, so that every try says the same.

A processor refuses a key that comes back with another body. What was sent before this was there
only held.
"""

from migrations.schemas import execute_script, grant

revision = "payments_0010"
down_revision = "payments_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    execute_script(
        """
        alter table payments.attempts
            add column capture_at_once boolean not null default false,
            add check (operation = 'authorize' or not capture_at_once)
        """
    )
    grant("insert (capture_at_once)", on="payments.attempts")
