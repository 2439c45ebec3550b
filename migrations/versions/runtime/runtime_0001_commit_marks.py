"""The marks by which group commit knows whether a COMMIT happened whose reply was lost."""

from migrations.schemas import create_schema, execute_script, grant

revision = "runtime_0001"
down_revision = None
branch_labels = ("runtime",)
depends_on = None


def upgrade() -> None:
    create_schema("runtime")
    # One row a writer, overwritten by each batch: the free half of a page keeps that in place.
    execute_script(
        """
        create table runtime.commit_marks (
            writer uuid primary key,
            batch bigint not null,
            committed_in xid8 not null default pg_current_xact_id(),
            committed_at timestamptz not null default now()
        ) with (fillfactor = 50);

        comment on table runtime.commit_marks is
            'The last batch of each group commit writer; a writer that ends drops its own.';
        """
    )
    grant("select, insert, update, delete", on="runtime.commit_marks")
