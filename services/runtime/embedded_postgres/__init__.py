"""A real PostgreSQL that Switchyard brings along, so that no other set-up is needed to run it.

It lives under `<home>/postgres`, listens on a private unix socket alone, and belongs to the process
that started it: it ends with that process, however that one ends. Everything durable is switched
on. `server` starts and stops it, `data_directory` knows its files, `binaries` finds its programs,
`account` lets root start it under another account, `guard` ties it to the life of its starter.
"""

from services.runtime.embedded_postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
