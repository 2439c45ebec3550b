"""The database's shape, step by step: one Alembic environment, one version directory per schema.

Each folder under `versions` is a schema and a branch of its own: its first revision carries the
schema's name as its branch label, every revision is named `<schema>_<number>` and stands in a file
`<revision>_<what it does>.py`. There is no way back: what was wrong is put right by the next
revision, and no command ever drops what tells of money. `schemas` has the words that revisions are
written in; `payment-cli migrate` applies them.
"""
