"""Which agents there are: each says which cameras are attached to its machine whenever it asks for a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from oakmill.errors import Conflict
from oakmill.jobs.roster import GONE, SILENT
from oakmill.jobs.tables import AgentRow
from oakmill.storage.database import moment

MOST = 64
"""Agents of a team."""


def heard(
    session: Session,
    team_id: str,
    name: str,
    *,
    key_id: str | None,
    machine: str,
    version: str,
    cameras: Sequence[dict[str, Any]],
) -> None:
    """An agent lives, and these are its cameras; those that have been silent for long are forgotten.

    Raises:
        Conflict: the team has too many.
    """
    present = moment(session)
    session.execute(delete(AgentRow).where(AgentRow.beat < present - GONE))
    row = session.get(AgentRow, (team_id, name))
    if row is None:
        _require_few(session, team_id)
        row = AgentRow(team_id=team_id, name=name, since=present)
        session.add(row)
    row.key_id, row.machine, row.version, row.cameras = key_id, machine, version, list(cameras)
    row.beat, row.job_id = present, None
    session.flush()


def _require_few(session: Session, team_id: str) -> None:
    count = session.scalar(select(func.count()).select_from(AgentRow).where(AgentRow.team_id == team_id)) or 0
    if count >= MOST:
        raise Conflict(f"The team has {count} agents already.", subject=team_id, remedy="End some of them.")


def at_work(session: Session, team_id: str, name: str, job_id: str) -> None:
    """An agent lives, and runs that job."""
    found = update(AgentRow).where(AgentRow.team_id == team_id, AgentRow.name == name)
    session.execute(found.values(beat=moment(session), job_id=job_id))


def leave(session: Session, team_id: str, name: str) -> None:
    """An agent ends."""
    session.execute(delete(AgentRow).where(AgentRow.team_id == team_id, AgentRow.name == name))


def listed(session: Session, team_id: str | None) -> list[AgentRow]:
    """A team's, or all teams', that were heard of in the last hour, by machine."""
    wanted = select(AgentRow).where(AgentRow.beat >= moment(session) - GONE)
    if team_id is not None:
        wanted = wanted.where(AgentRow.team_id == team_id)
    return list(session.scalars(wanted.order_by(AgentRow.machine, AgentRow.since, AgentRow.name)))


def is_silent(session: Session, row: AgentRow) -> bool:
    """Whether it was not heard of for so long that nobody counts on it."""
    return row.beat < moment(session) - SILENT


def ready(session: Session, team_id: str, platform: str) -> int:
    """How many cameras of a platform the team's living agents have."""
    alive = select(AgentRow).where(AgentRow.team_id == team_id, AgentRow.beat >= moment(session) - SILENT)
    rows = session.scalars(alive)
    return sum(camera.get("platform") == platform.upper() for row in rows for camera in row.cameras)
