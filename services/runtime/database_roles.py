"""Who may do what in the database, checked before a process serves.

Append-only tables and balanced entries are only as safe as the login that writes: one that owns a
table, or can become its owner, can lift every rule on it. Serving refuses such a login.
"""

from typing import Final

from migrations.schemas import APPLICATION_ROLE, schema_names
from services.runtime.database import Connection
from services.runtime.startup import StartupError

_SUPERUSER: Final = "select rolsuper from pg_roles where rolname = session_user"

# SET ROLE can be undone: what counts is the login.
_OWNED: Final = """
with owned (what, owner) as (
    select 'schema ' || nspname, nspowner from pg_namespace where nspname = any ($1)
    union all
    select 'table ' || relation.oid::regclass, relowner
      from pg_class as relation join pg_namespace as schema on schema.oid = relnamespace
     where nspname = any ($1)
    union all
    select 'database ' || datname, datdba from pg_database where datname = current_database()
)
select what, owner::regrole::text as owner
  from owned
 where pg_has_role(session_user, owner, 'member')
 order by what
 limit 1
"""
_IS_MEMBER: Final = """
select exists (select from pg_roles where rolname = $1)
   and pg_has_role(session_user, (select oid from pg_roles where rolname = $1), 'usage')
"""


async def assert_application_login(connection: Connection) -> None:
    """Refuse a login that could lift the database's own rules, or that lacks the application's."""
    login = await connection.fetchval("select session_user::text")
    remedy = (
        f"give DATABASE_URL a login that owns nothing and is a member of {APPLICATION_ROLE}"
        " (`payment-cli migrate` grants it)"
    )
    if await connection.fetchval(_SUPERUSER):
        raise StartupError(f"the application logs in as {login}, a superuser: {remedy}")
    owned = await connection.fetchrow(_OWNED, list(schema_names()))
    if owned is not None and owned["owner"] == login:
        raise StartupError(
            f"the application logs in as {login}, who owns the {owned['what']}: {remedy}"
        )
    if owned is not None:
        raise StartupError(
            f"the application logs in as {login}, who can become {owned['owner']}, the owner of"
            f" the {owned['what']}: {remedy}"
        )
    if not await connection.fetchval(_IS_MEMBER, APPLICATION_ROLE):
        raise StartupError(
            f"the application logs in as {login}, who is no member of {APPLICATION_ROLE}:"
            " run payment-cli migrate"
        )
