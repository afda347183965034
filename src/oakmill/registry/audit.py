"""The audit log: who did what, written in the same transaction as the deed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.registry.callers import Caller
from oakmill.registry.tables import AuditEntry


def record(
    session: Session, caller: Caller, action: str, subject: str, *, of_team: str | None = None, **detail: Any
) -> None:
    """Note that the caller did `action` ("model.delete") to `subject` (an identifier or a name)."""
    session.add(
        AuditEntry(
            team_id=of_team or caller.team_id,
            key_id=caller.key_id,
            key_name=caller.key_name,
            user_name=caller.user_name or None,
            action=action,
            subject=subject[:255],
            detail=detail,
            address=caller.address[:64],
        )
    )


def listed(
    session: Session,
    caller: Caller,
    *,
    before: int | None = None,
    limit: int = 100,
    of: str = "",
    key_id: str = "",
    subject: str = "",
) -> list[AuditEntry]:
    """The team's entries, the latest first; those before `before` for the next page.

    `of` is the kind of thing that was done something to ("model"), `key_id` the key that did it, `subject` a part of
    the identifier or name.

    Raises:
        NoKey: No key was given.
        Forbidden: The key is not an admin's, or is for one model only.
    """
    caller.require("admin")
    caller.require_whole_team()
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if caller.team_id is not None:
        query = query.where(AuditEntry.team_id == caller.team_id)
    if of:
        query = query.where(AuditEntry.action.startswith(f"{of}.", autoescape=True))
    if key_id:
        query = query.where(AuditEntry.key_id == key_id)
    if subject:
        query = query.where(AuditEntry.subject.contains(subject, autoescape=True))
    return list(session.scalars(query if before is None else query.where(AuditEntry.id < before)))
