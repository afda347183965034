"""Which blobs are named by rows: what may be freed, and the order between naming and freeing.

On SQLite one transaction writes at a time. On PostgreSQL those that name share a lock which a sweep takes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import JSON, column, delete, select, table, text, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from oakmill.storage.database import now
from oakmill.storage.tables import Blob

BY_COLUMN = ("files", "datasets", "uploads", "instances")
"""Tables whose column `sha256` names blobs. They stand here by name, for the store knows nothing of the registry."""
_JOBS = table("jobs", column("files", JSON))

_LOCK = 0x0A_4B_10_B5


def enter(session: Session, sha256: str, size: int) -> None:
    """Write a blob's row, or make it young again; until the transaction ends, no sweep looks at names."""
    _lock(session, shared=True)
    insert = postgresql.insert if _is_postgres(session) else sqlite.insert
    row = insert(Blob).values(sha256=sha256, size=size, created=now())
    session.execute(row.on_conflict_do_update(index_elements=[Blob.sha256], set_={"created": row.excluded.created}))


def unnamed(session: Session, stored: set[str], cutoff: datetime) -> set[str]:
    """Of the blobs that are stored or have a row, those which no row names and whose own row is not young."""
    _lock(session, shared=False)
    rows = dict(session.execute(select(Blob.sha256, Blob.created)).all())
    young = {sha256 for sha256, created in rows.items() if created >= cutoff}
    return (stored | set(rows)) - young - named(session)


def forget(session: Session, blobs: Sequence[str]) -> None:
    """Remove the rows of blobs."""
    session.execute(delete(Blob).where(Blob.sha256.in_(blobs)))


def named(session: Session) -> set[str]:
    """All blobs that rows name; a job names its files as "SHA256:NAME"."""
    columns = [select(table(name, column("sha256")).c.sha256) for name in BY_COLUMN]
    names = set(session.scalars(union(*columns)))
    for files in session.scalars(select(_JOBS.c.files)):
        names.update(value.partition(":")[0] for value in files.values())
    return names


def _lock(session: Session, *, shared: bool) -> None:
    if _is_postgres(session):
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        session.execute(text(f"select {function}({_LOCK})"))


def _is_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
