"""Measurements on cameras: asked for by people, and taken in from agents, which are trusted with nothing.

What an agent uploads is a passport's document, no larger than one is; it is read by its schema, its verdicts are
made anew of its numbers, and its page is made here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from oakmill.conversion.passport import page
from oakmill.conversion.passport.headline import headline
from oakmill.conversion.passport.report import Passport
from oakmill.devices import Benchmark, Identity
from oakmill.errors import Conflict, SourceError, TooLarge
from oakmill.hub import agents, jobs, passports_read
from oakmill.hub.state import Hub
from oakmill.jobs import on_camera
from oakmill.jobs.kinds import BENCHMARK, PROVE
from oakmill.jobs.on_camera import Measurement
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import access, audit, datasets, instances, teams
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance, InstanceFile, Role
from oakmill.storage.blobs import Stored

LARGEST = 32 << 20
"""Bytes of a passport's document."""
LARGEST_NUMBER = 1e9
"""Of what a camera's speed is told by: frames, seconds, milliseconds."""
_REASONS, _LONGEST = 5, 255
_LISTED = 1 << 20
"""Characters of a passport that a job's row holds: jobs are listed by the hundred."""
_REMEDY = "Update the agent to the hub's version of Oakmill."


def ask(
    session: Session,
    caller: Caller,
    instance_id: str,
    kind: str,
    asked: Measurement,
    *,
    images: str | None = None,
    priority: int = 0,
) -> Job:
    """The job that measures an instance's file on a camera; `images` is a calibration set's identifier or slug.

    Raises:
        NotFound: there is no such instance or set that the caller sees.
        Forbidden: the key does not allow it, or such a priority.
        Conflict: no camera can measure it.
    """
    row = access.changeable(session, caller, Instance, instance_id)
    jobs.require_priority(session, caller, row.team_id, priority)
    files = f"dataset:{datasets.seen(session, caller, images).id}" if images and kind == PROVE else None
    job = on_camera.request(session, caller, row, kind, asked, images=files, priority=priority)
    audit.record(session, caller, "job.create", job.id, of_team=job.team_id, name=job.name, kind=kind)
    return job


def timed(session: Session, caller: Caller, job_id: str, token: str, found: Benchmark) -> None:
    """End a benchmark with its figures.

    Raises:
        NotFound, Forbidden: as `agents.held`.
        Conflict: as `agents.held`; or it is no benchmark, or the camera is of another platform.
    """
    job = agents.held(session, caller, job_id, token)
    if job.kind != BENCHMARK:
        raise Conflict(f"Job {job.name} is no benchmark.", subject=job_id, remedy="Upload its passport.")
    _require_platform(job, found.device)
    speed = _speed(job, found)
    agents.end(session, caller, job_id, token, JobStatus.SUCCEEDED, result={"measured": {"speed": speed}})
    _note(session, job, speed=speed)


def proved(at: Hub, caller: Caller, job_id: str, token: str, stored: Stored) -> str:
    """End a proof with the passport that its agent has uploaded; the instance's identifier.

    Raises:
        NotFound, Forbidden, Conflict: as `agents.held`.
        TooLarge: it is larger than a passport is, or than the team's quota leaves room for.
        SourceError: it is no passport, or of no camera of the platform.
    """
    with at.db.reading() as session:
        job = agents.held(session, caller, job_id, token)
        name = session.get_one(Instance, job.source_id).name
    made = _made(job, name, stored.sha256, _document(at, stored))
    kept = [(name, role, at.blobs.put_bytes(data)) for name, role, data in made.documents]
    with at.db.session() as session:
        job = agents.end(session, caller, job_id, token, JobStatus.SUCCEEDED, result=made.result)
        row = session.get_one(Instance, job.source_id)
        session.execute(delete(InstanceFile).where(InstanceFile.instance_id == row.id, InstanceFile.role.in_(_ROLES)))
        for name, role, bytes_ in kept:
            at.blobs.record(session, bytes_)
            instances.add_file(session, row, name=name, sha256=bytes_.sha256, size=bytes_.size, role=role)
        teams.require_within(session, job.team_id, sum(bytes_.size for _, _, bytes_ in kept))
        _note(session, job, **made.measured)
        return row.id


_ROLES = (Role.MEASURED, Role.MEASURED_PAGE)


def require_small(size: int | None, name: str) -> None:
    """Go on only where a document says how large it is, and is no larger than a passport.

    Raises:
        TooLarge: it is larger, or does not say.
    """
    if size is None or size > LARGEST:
        raise TooLarge(f"{name} is to say its size, of {LARGEST >> 20} MB at most.", subject=name, remedy=_REMEDY)


def _document(at: Hub, stored: Stored) -> Passport:
    """What was uploaded, without what has no schema.

    Raises:
        TooLarge: it is larger than a passport is.
        SourceError: it is none, or of no camera.
    """
    require_small(stored.size, "the passport")
    with passports_read.readable(_unreadable):
        found = passports_read.parsed(b"".join(at.blobs.stream(stored.sha256)))
    if found.measured_on is None or not any(check.name == found.measured_on.check for check in found.checks):
        raise SourceError("The passport says of no camera what it measured.", subject="passport", remedy=_REMEDY)
    return replace(found, vendor_reader={}, calibration={})


def _unreadable(why: str) -> SourceError:
    return SourceError(f"What the agent sent is no accuracy passport: {why}", subject="passport", remedy=_REMEDY)


def _require_platform(job: Job, device: Identity) -> None:
    if any(len(word) > _LONGEST for word in device.as_dict().values()):
        raise SourceError("The camera's name is too long.", subject=job.id, remedy=_REMEDY)
    _require_same(job, device.platform)


def _require_same(job: Job, platform: str) -> None:
    if platform.lower() != job.platform:
        wanted = str(job.platform).upper()
        raise SourceError(f"It was measured on {platform[:_LONGEST]}, and is for {wanted}.", subject=job.id)


def _require_speed(found: Passport) -> None:
    """That the speed is the same camera's, and made of numbers such as a benchmark has.

    Raises:
        SourceError: it is not.
    """
    on = found.measured_on
    if on is None or on.speed is None:
        return
    numbers = (on.speed.fps, on.speed.latency_ms, on.speed.latency_p95_ms, on.speed.frames, on.speed.seconds)
    if on.speed.device != on.device or not all(0 <= number <= LARGEST_NUMBER for number in numbers):
        raise SourceError("The passport's speed is none that its camera has.", subject="passport", remedy=_REMEDY)


@dataclass(frozen=True)
class _Made:
    """What is made of a passport: its document and page by name and role, and what the job and the file note."""

    documents: Sequence[tuple[str, str, bytes]]
    measured: dict[str, Any]
    result: dict[str, Any]


def _made(job: Job, name: str, sha256: str, found: Passport) -> _Made:
    """All that is kept. Raises: SourceError: it cannot be shown; or as `_require_platform` and `_require_speed`."""
    on = found.measured_on
    assert on is not None
    _require_platform(job, on.device)
    _require_same(job, found.platform)
    _require_speed(found)
    stem = name.replace("/", "_")
    with passports_read.readable(_unreadable):
        measured = _facts(job, sha256, found)
        shown = {key: value for key, value in found.as_dict().items() if key != "layers"}
        drawn = page.render(found, {"name": name, "camera": on.device.words})
        document = json.dumps(found.as_dict(drawings=True), indent=1)
    documents = [
        (f"{stem}.camera.passport.json", Role.MEASURED, document.encode()),
        (f"{stem}.camera.passport.html", Role.MEASURED_PAGE, drawn.encode()),
    ]
    listed = {"passport": shown} if len(json.dumps(shown)) < _LISTED else {}
    return _Made(documents, measured, {"measured": measured, **listed})


def _facts(job: Job, sha256: str, found: Passport) -> dict[str, Any]:
    """What an instance notes of a proof; `sha256` is what was uploaded."""
    on = found.measured_on
    assert on is not None
    own = next(check for check in found.checks if check.name == on.check)
    number = headline(replace(found, checks=(own,)))
    proof = {
        **_about(job, on.device.as_dict()),
        "verdict": own.verdict.value,
        "reasons": [reason[:_LONGEST] for reason in own.reasons[:_REASONS]],
        "images": len(found.images.names),
        "sha256": sha256,
        "accuracy": _shortened(number.as_dict()) if number else None,
    }
    return {"proof": proof, **({"speed": _speed(job, on.speed)} if on.speed else {})}


def _shortened(words: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in words.items()}


def _speed(job: Job, found: Benchmark) -> dict[str, Any]:
    numbers = {name: getattr(found, name) for name in ("fps", "latency_ms", "latency_p95_ms", "frames", "method")}
    return {**_about(job, found.device.as_dict()), **_shortened(numbers)}


def _about(job: Job, device: dict[str, Any]) -> dict[str, Any]:
    return {"device": device, "when": datetime.now(UTC).isoformat(timespec="seconds"), "job": job.id}


def _note(session: Session, job: Job, **found: Any) -> None:
    """Keep the newest of each kind with the instance; the jobs themselves are the history."""
    row = session.get(Instance, job.source_id, with_for_update=True)
    if row is not None:
        measured = {**row.facts.get("measured", {}), **found}
        row.facts = {**row.facts, "measured": measured}
        session.flush()
