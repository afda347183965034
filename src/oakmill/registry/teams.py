"""Teams: who owns models, and how much of the store they use."""

from __future__ import annotations

from sqlalchemy import func, select, union
from sqlalchemy.orm import Session

from oakmill.errors import NotFound
from oakmill.registry import rows
from oakmill.registry.identifiers import checked_name, new_id, slugify
from oakmill.registry.tables import Dataset, Instance, InstanceFile, Team


def create(session: Session, *, name: str, quota_bytes: int | None = None) -> Team:
    """A new team.

    Raises:
        SpecError: The name cannot be in an address.
        Conflict: There is one of that name.
    """
    team = Team(id=new_id("ait"), name=checked_name(name), slug=slugify(name), quota_bytes=quota_bytes)
    rows.add(session, team, taken=f"There is a team {team.slug!r} already.", remedy="Choose another name.")
    return team


def named(session: Session, slug: str) -> Team:
    """The team of that slug or identifier; for the operator only.

    Raises:
        NotFound: There is none.
    """
    team = session.scalars(select(Team).where((Team.slug == slug) | (Team.id == slug))).first()
    if team is None:
        raise NotFound(f"There is no team {slug!r}.", subject=slug, remedy="See `oakmill keys` for the teams.")
    return team


def listed(session: Session) -> list[Team]:
    """All teams by slug; for the operator only."""
    return list(session.scalars(select(Team).order_by(Team.slug)))


def used_bytes(session: Session, team_id: str) -> int:
    """What the team's files take in the store; the same bytes count once."""
    files = (
        select(InstanceFile.sha256, InstanceFile.size)
        .join(Instance, Instance.id == InstanceFile.instance_id)
        .where(Instance.team_id == team_id)
    )
    once = union(files, select(Dataset.sha256, Dataset.size).where(Dataset.team_id == team_id)).subquery()
    return int(session.scalar(select(func.coalesce(func.sum(once.c.size), 0))) or 0)


def quota_left(session: Session, team_id: str) -> int | None:
    """How much more the team may store, in bytes; None is no bound."""
    team = session.get_one(Team, team_id)
    return None if team.quota_bytes is None else max(0, team.quota_bytes - used_bytes(session, team_id))
