"""What agents may do, whichever way they ask: claim what their team wants measured on a camera, and tell how it goes.

An agent is trusted with no more than its key: it sees its team's jobs alone, and writes about those that it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from oakmill.conversion.failures import explain
from oakmill.errors import Conflict, NotFound, OakmillError
from oakmill.hub import visibility, wire, wire_agents
from oakmill.hub.state import Hub
from oakmill.jobs import agents, job_log, queue
from oakmill.jobs.identity import named_file
from oakmill.jobs.job_log import Line
from oakmill.jobs.kinds import BENCHMARK, ON_CAMERA, PROVE
from oakmill.jobs.on_camera import IMAGES
from oakmill.jobs.states import LeaseState
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import access, audit
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance

_TAIL = 40
"""Lines of a failure's log."""


@dataclass(frozen=True)
class Asking:
    """An agent that asks: its name, its machine, its version, and the cameras that are attached there."""

    name: str
    machine: str
    version: str
    cameras: Sequence[wire_agents.Camera]

    @property
    def platforms(self) -> list[str]:
        """Those of its cameras that can be used now."""
        free = (camera for camera in self.cameras if camera.state == "free" and not camera.problem)
        return sorted({camera.platform.lower() for camera in free if camera.platform})


def claim(session: Session, caller: Caller, at: Hub, asking: Asking) -> wire_agents.Claimed | None:
    """The next job of the caller's team for one of the agent's cameras; None when there is none.

    A job whose images are gone fails here.

    Raises:
        Conflict: the team has too many agents.
        Forbidden: the caller is of no team.
    """
    team_id = caller.own_team()
    agents.heard(
        session,
        team_id,
        asking.name,
        key_id=caller.key_id,
        machine=asking.machine,
        version=asking.version,
        cameras=[camera.model_dump() for camera in asking.cameras],
    )
    queue.expire(session, timedelta(hours=at.settings.upload_hours))
    if not asking.platforms:
        return None
    lease = timedelta(seconds=at.settings.lease_seconds)
    job = queue.claim_on_camera(session, asking.name, lease, asking.platforms, visibility.jobs(caller))
    if job is None:
        return None
    try:
        found = _claimed(session, caller, at, job)
    except OakmillError as error:
        failure = queue.unexplained(error.code, error.message, error.remedy)
        queue.finish(session, job.id, str(job.lease_token), JobStatus.FAILED, error=error.message, failure=failure)
        return None
    agents.at_work(session, team_id, asking.name, job.id)
    audit.record(session, caller, "job.claim", job.id, of_team=job.team_id, name=job.name, agent=asking.name)
    return found


def _claimed(session: Session, caller: Caller, at: Hub, job: Job) -> wire_agents.Claimed:
    """What the agent needs to know.

    Raises:
        NotFound: the file, its source or the images are gone.
    """
    row = access.seen(session, caller, Instance, str(job.source_id))
    return wire_agents.Claimed(
        job=wire.Job.model_validate(job),
        token=str(job.lease_token),
        lease_seconds=at.settings.lease_seconds,
        beat_seconds=at.settings.beat_seconds,
        job_seconds=at.settings.job_seconds,
        source_id=row.parent_id if job.kind == PROVE else None,
        images=_images(session, at, job),
        set=job.spec.get("set"),
        held_out=bool(job.spec.get("held_out")),
    )


def _images(session: Session, at: Hub, job: Job) -> wire_agents.HeldImages | None:
    if IMAGES not in job.files:
        return None
    try:
        sha256, name = named_file(session, job.team_id, job.files[IMAGES])
        return wire_agents.HeldImages(name=name, sha256=sha256, size=at.blobs.size(sha256))
    except NotFound as error:
        remedy = "Ask again, with a calibration set of the team's."
        raise NotFound("The images of this proof are gone.", subject=error.subject, remedy=remedy) from None


def held(session: Session, caller: Caller, job_id: str, token: str) -> Job:
    """The job for a camera that the token holds.

    Raises:
        NotFound: there is none, or the caller does not see it.
        Forbidden: the key does not allow changes.
        Conflict: it is no such job, or another's by now, or has ended.
    """
    job = _on_camera(session, caller, job_id)
    if job.status != JobStatus.RUNNING or job.lease_token != token:
        raise _lost(job)
    return job


def _lost(job: Job) -> Conflict:
    return Conflict(f"Job {job.name} is not held by this token.", subject=job.id, remedy="Claim another.")


def end(session: Session, caller: Caller, job_id: str, token: str, status: JobStatus, **values: Any) -> Job:
    """End a job that the token holds, with what `queue.finish` writes. Raises: as `held`."""
    job = held(session, caller, job_id, token)
    if not queue.finish(session, job_id, token, status, **values):
        raise _lost(job)
    return job


def _on_camera(session: Session, caller: Caller, job_id: str) -> Job:
    job = visibility.changeable_job(session, caller, job_id)
    if job.kind not in ON_CAMERA:
        raise Conflict(f"Job {job.name} is a conversion, which workers run.", subject=job_id)
    return job


@dataclass(frozen=True)
class Word:
    """What an agent tells of its job: stages and progress as a job's row has them, and lines of the log."""

    stages: list[dict[str, Any]]
    progress: dict[str, Any]
    lines: Sequence[Line]


def tell(session: Session, caller: Caller, at: Hub, job_id: str, *, token: str, agent: str, word: Word) -> LeaseState:
    """Extend the lease, and write what the agent tells; nothing is written where the lease is lost.

    Raises:
        NotFound, Forbidden: the caller does not see the job, or may change nothing.
        Conflict: it is no job for a camera.
    """
    job = _on_camera(session, caller, job_id)
    state = queue.beat(session, job_id, token, timedelta(seconds=at.settings.lease_seconds))
    if state is LeaseState.LOST:
        return state
    queue.record(session, job_id, token, stages=word.stages, progress=word.progress)
    job_log.append(session, job_id, job.attempt, word.lines)
    agents.at_work(session, job.team_id, agent, job_id)
    return state


def give_back(session: Session, caller: Caller, job_id: str, token: str) -> None:
    """Give a job back, untried: its agent was asked to end. Raises: as `held`."""
    held(session, caller, job_id, token)
    queue.release(session, job_id, token)


def failed(session: Session, caller: Caller, job_id: str, token: str, error: OakmillError, stage: str) -> None:
    """End a job with what went wrong. Raises: as `held`."""
    failure = explain(error, stage).model_dump(mode="json")
    failure["log"] = error.log.splitlines()[-_TAIL:]
    end(session, caller, job_id, token, JobStatus.FAILED, error=error.message, failure=failure)


def cancelled(session: Session, caller: Caller, job_id: str, token: str) -> None:
    """End a job that was cancelled, and is ended by its agent.

    Raises:
        NotFound, Forbidden: as `held`.
        Conflict: as `held`; or nobody cancelled it.
    """
    job = held(session, caller, job_id, token)
    if not job.cancel_requested:
        raise Conflict(f"Job {job.name} was not cancelled.", subject=job_id, remedy="Give it back, or end it.")
    end(session, caller, job_id, token, JobStatus.CANCELLED)


def images_of(session: Session, caller: Caller, at: Hub, job_id: str, token: str) -> wire_agents.HeldImages:
    """The images of a job that is held. Raises: as `held`; NotFound: it has none."""
    found = _images(session, at, held(session, caller, job_id, token))
    if found is None:
        raise NotFound("The job has no images of the hub's.", subject=job_id)
    return found


def waiting_for(session: Session, job: Job) -> str:
    """In a sentence, why nobody takes a job for a camera that waits; empty where somebody may."""
    platform = str(job.platform)
    if job.kind not in ON_CAMERA or job.status != JobStatus.QUEUED or agents.ready(session, job.team_id, platform):
        return ""
    verb = "time" if job.kind == BENCHMARK else "prove"
    return f"No agent of the team has a camera of {platform.upper()} at the moment, to {verb} the file on."


def listed(session: Session, caller: Caller) -> list[wire_agents.Agent]:
    """The team's agents that were heard of in the last hour."""
    team_id = None if caller.everywhere else caller.own_team()
    return [wire_agents.Agent.model_validate(row) for row in agents.listed(session, team_id)]
