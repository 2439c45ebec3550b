"""Alembic's entry: applies the revisions on the connection that the runtime kit has opened."""

from alembic import context

from migrations.schemas import VERSION_SCHEMA, VERSION_TABLE

options = context.config.attributes

context.configure(
    connection=options["connection"],
    on_version_apply=options["on_version_apply"],
    version_table=VERSION_TABLE,
    version_table_schema=VERSION_SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
