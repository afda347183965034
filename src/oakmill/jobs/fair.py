"""In which order waiting jobs begin: the highest priority, then the team that has least running, then the oldest.

Of teams that have as much running, the one is next whose last job began longest ago: with one worker, five hundred
jobs of a team and one of another alternate. A team or a key at its bound of running jobs waits for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import CTE, ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from oakmill.jobs.kinds import ON_CAMERA
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Key, Team

NEVER = datetime.fromtimestamp(0, UTC)


def _running() -> CTE:
    """How many jobs of each team run; counted once, whatever a planner without statistics makes of the question."""
    counted = select(Job.team_id, func.count().label("jobs")).where(Job.status == JobStatus.RUNNING)
    return counted.group_by(Job.team_id).cte("running").prefix_with("materialized", dialect="postgresql")


def _of_free_key() -> ColumnElement[bool]:
    """Whether the job's key has no bound of its own, or fewer jobs running; keys at theirs are found once."""
    full = select(Job.key_id).join(Key, Key.id == Job.key_id).where(Job.status == JobStatus.RUNNING)
    full = full.group_by(Job.key_id, Key.most_running).having(func.count() >= Key.most_running)
    return or_(Job.key_id.is_(None), Job.key_id.not_in(full))


def of_workers() -> ColumnElement[bool]:
    """Whether workers run the job; agents run those that want a camera."""
    return Job.kind.not_in(ON_CAMERA)


def beside(job: Job) -> ColumnElement[bool]:
    """Whether others wait for the same as a job does: for a worker, or for a camera of its platform."""
    if job.kind not in ON_CAMERA:
        return of_workers()
    return and_(Job.kind.in_(ON_CAMERA), Job.platform == job.platform)


def waiting(*wanted: ColumnElement[bool], bounded: bool = True) -> Select[str]:
    """The identifiers of jobs that may begin now, in the order in which they do, as things stand; nothing is held.

    With `bounded`, a team or a key that has as many jobs running as it may is passed over.
    """
    running = _running()
    jobs = func.coalesce(running.c.jobs, 0)
    within = [or_(Team.most_running.is_(None), jobs < Team.most_running), _of_free_key()]
    return (
        select(Job.id)
        .join(Team, Team.id == Job.team_id)
        .outerjoin(running, running.c.team_id == Job.team_id)
        .where(Job.status == JobStatus.QUEUED, *(within if bounded else []), *wanted)
        .order_by(Job.priority.desc(), jobs, func.coalesce(Team.served, NEVER), Job.number, Job.id)
    )


def beginning(session: Session) -> int:
    """How many waiting jobs of workers would begin if there were workers for all: each team's up to its bound."""
    running = _running()
    room = Team.most_running - func.coalesce(func.max(running.c.jobs), 0)
    found = session.execute(
        select(func.count(), room)
        .select_from(Job)
        .join(Team, Team.id == Job.team_id)
        .outerjoin(running, running.c.team_id == Job.team_id)
        .where(Job.status == JobStatus.QUEUED, of_workers())
        .group_by(Job.team_id, Team.most_running)
    )
    return sum(jobs if room is None else min(jobs, max(0, room)) for jobs, room in found)


def served(session: Session, team_id: str, moment: datetime) -> None:
    """A job of the team begins; that is no change of the team's."""
    session.execute(update(Team).where(Team.id == team_id).values(served=moment, updated=Team.updated))


@dataclass(frozen=True)
class _Line:
    """One team's waiting jobs of one priority."""

    team_id: str
    jobs: int
    running: int
    turn: tuple[datetime, int]
    """When its last job began, and the number of its first one: the team with the lower turn is next."""


def before(session: Session, job: Job) -> dict[str, int]:
    """How many jobs of its priority begin before a waiting job, by team, as things stand; without teams' bounds.

    Each team is served in turn, so before a team's third job there are its two others, and about as many of each other
    team.
    """
    lines = {line.team_id: line for line in _lines(session, job)}
    own = lines.get(job.team_id)
    if own is None:
        return {}
    ahead = and_(Job.status == JobStatus.QUEUED, Job.team_id == job.team_id, Job.priority == job.priority)
    ahead &= beside(job)
    rank = session.scalar(select(func.count()).select_from(Job).where(ahead, Job.number < job.number)) or 0
    others = {line.team_id: _turns(line, own, rank) for line in lines.values() if line is not own}
    return {own.team_id: rank, **others}


def _turns(line: _Line, own: _Line, rank: int) -> int:
    """How many of another team's jobs begin before a team's job that has `rank` jobs of its own before it."""
    level = own.running + rank - line.running + (line.turn < own.turn)
    return min(line.jobs, max(0, level))


def _lines(session: Session, job: Job) -> list[_Line]:
    running = _running()
    found = session.execute(
        select(
            Job.team_id,
            func.count(),
            func.max(func.coalesce(running.c.jobs, 0)),
            func.max(Team.served),
            func.min(Job.number),
        )
        .join(Team, Team.id == Job.team_id)
        .outerjoin(running, running.c.team_id == Job.team_id)
        .where(Job.status == JobStatus.QUEUED, Job.priority == job.priority, beside(job))
        .group_by(Job.team_id)
    )
    return [_Line(team, jobs, busy, (when or NEVER, first)) for team, jobs, busy, when, first in found]
