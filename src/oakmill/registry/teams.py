"""Teams: who owns models, and how much of the store they use."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, CompoundSelect, func, select, true, union
from sqlalchemy.orm import Session

from oakmill.errors import NotFound, TooLarge
from oakmill.registry import rows
from oakmill.registry.identifiers import checked_name, new_id, slugify
from oakmill.registry.tables import Dataset, Instance, InstanceFile, Team
from oakmill.storage.tables import Upload, UploadStatus

KEPT = ("file", "bundle")
"""Purposes of uploads that lie there as they came, for a while."""
_MAKE_ROOM = "Delete what the team does not need and empty the trash, or ask the operator for more."


def create(session: Session, *, name: str, quota_bytes: int | None = None) -> Team:
    """A new team.

    Raises:
        SpecError: The name cannot be in an address.
        Conflict: There is one of that name.
    """
    team = Team(id=new_id("ait"), name=checked_name(name), slug=slugify(name), quota_bytes=quota_bytes)
    rows.add(session, team, taken=f"There is a team {team.slug!r} already.", remedy="Choose another name.")
    return team


def change(
    session: Session,
    slug: str,
    *,
    quota_bytes: int | None = None,
    highest_priority: int | None = None,
    most_running: int | None = None,
) -> Team:
    """Change what is given; for the operator only.

    Raises:
        NotFound: There is no such team.
    """
    team = named(session, slug)
    if quota_bytes is not None:
        team.quota_bytes = quota_bytes
    if highest_priority is not None:
        team.highest_priority = highest_priority
    if most_running is not None:
        team.most_running = most_running or None
    return team


def keep(session: Session, slug: str, *, results: int | None, days: int | None) -> Team:
    """Set the rule of `retention`: how many results of each variant and platform are kept, and for how many days.

    What either keeps, stays; None for both keeps all.

    Raises:
        NotFound: There is no such team.
    """
    team = named(session, slug)
    team.keep_results, team.keep_days = results, days
    session.flush()
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
    """What the team's files take in the store, those in the trash too; the same bytes count once."""
    once = _files(team_id).subquery()
    return int(session.scalar(select(func.coalesce(func.sum(once.c.size), 0))) or 0)


def own_files(session: Session, team_id: str, wanted: Iterable[str]) -> set[str]:
    """Which of these hashes the team's files have already: they count once."""
    own = _files(team_id).subquery()
    return set(session.scalars(select(own.c.sha256))) & set(wanted)


def trash_bytes(session: Session, team_id: str) -> int:
    """What of it is named by nothing but the team's trash: so much is freed when that is emptied."""
    lying = _files(team_id, Instance.trash_id.is_not(None), Dataset.trash_id.is_not(None)).subquery()
    in_use = _files(team_id, Instance.trash_id.is_(None), Dataset.trash_id.is_(None)).subquery()
    only = select(func.sum(lying.c.size)).where(lying.c.sha256.not_in(select(in_use.c.sha256)))
    return int(session.scalar(only) or 0)


def _files(
    team_id: str, instances: ColumnElement[bool] | None = None, sets: ColumnElement[bool] | None = None
) -> CompoundSelect[str, int]:
    """The hashes and sizes of the team's files, each once, of instances and calibration sets as told."""
    files = select(InstanceFile.sha256, InstanceFile.size).join(Instance, Instance.id == InstanceFile.instance_id)
    zips = select(Dataset.sha256, Dataset.size).where(Dataset.team_id == team_id, sets if sets is not None else true())
    return union(files.where(Instance.team_id == team_id, instances if instances is not None else true()), zips)


def coming_bytes(session: Session, team_id: str) -> int:
    """What the team's uploads take or have been promised, which no row of the registry names yet."""
    is_kept = (Upload.status == UploadStatus.COMPLETE) & Upload.purpose["kind"].as_string().in_(KEPT)
    size = func.sum(func.coalesce(Upload.size, Upload.offset))
    mine = select(size).where(Upload.team_id == team_id, (Upload.status == UploadStatus.OPEN) | is_kept)
    return int(session.scalar(mine) or 0)


def quota_left(session: Session, team_id: str, *, alone: bool = False) -> int | None:
    """How much more the team may store, in bytes; None is no bound. With `alone`, nobody else asks till the commit."""
    team = session.get_one(Team, team_id, with_for_update=alone)
    if team.quota_bytes is None:
        return None
    return max(0, team.quota_bytes - used_bytes(session, team_id) - coming_bytes(session, team_id))


def require_room(session: Session, team_id: str) -> None:
    """Go on only where the team may store more.

    Raises:
        TooLarge: its quota is used up.
    """
    if quota_left(session, team_id) == 0:
        raise TooLarge("The team's quota is used up; a result would find no room.", remedy=_MAKE_ROOM)


def require_within(session: Session, team_id: str, size: int) -> None:
    """Go on only where the team's files, of which those of `size` bytes are new, are within its quota.

    Raises:
        TooLarge: they are not.
    """
    team = session.get_one(Team, team_id, with_for_update=True)
    if team.quota_bytes is None:
        return
    over = used_bytes(session, team_id) + coming_bytes(session, team_id) - team.quota_bytes
    if over > 0:
        raise TooLarge(
            f"The result has {size} bytes, {over} more than the team's quota leaves room for.", remedy=_MAKE_ROOM
        )
