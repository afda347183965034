"""What becomes of an upload that has come whole: a file of an instance, a calibration set, or what a job reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, HashMismatch, OakmillError, TooLarge
from oakmill.findings import Severity, worst_first
from oakmill.hub import measurements, sets, visibility
from oakmill.hub.model_bundles import taking, uploaded
from oakmill.hub.parameters import FILES
from oakmill.hub.state import Hub
from oakmill.hub.wire import Completed
from oakmill.jobs import ingest, queue, submit
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import teams
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Dataset, Instance, InstanceFile
from oakmill.spec import bundle_file
from oakmill.storage.blobs import Stored
from oakmill.storage.tables import Upload, UploadStatus


def arrive(at: Hub, caller: Caller, upload: Upload) -> Completed:
    """Complete an upload; asked again, it says the same. One that is refused is over, and says why from then on.

    Raises:
        OffsetConflict: bytes are missing; `subject` says from which on.
        Conflict: it was refused before, or what it is for takes it no more.
        HashMismatch: it is not what was announced.
        TooLarge: it is more than the team's quota leaves room for.
        SourceError, UnsupportedModel, LimitExceeded: it is not what it is to be, or cannot be read.
    """
    try:
        stored = at.uploads.finish(upload.id)
    except HashMismatch as error:
        _tell_job(at, upload, error)
        raise
    try:
        require_room(at, upload.name, upload.team_id, stored, is_counted=upload.purpose["kind"] in teams.KEPT)
        return _ARRIVALS[upload.purpose["kind"]](at, caller, upload, stored)
    except OakmillError as error:
        if error.status in {413, 422}:
            _refuse(at, upload, error)
        raise


def _completed(upload: Upload, stored: Stored, **more: Any) -> Completed:
    return Completed(upload_id=upload.id, sha256=stored.sha256, size=stored.size, **more)


def require_room(at: Hub, name: str, team_id: str, stored: Stored, *, is_counted: bool = False) -> None:
    """That the team's quota has room for what came: several uploads may fit one by one, and not together.

    Raises:
        TooLarge: it has not.
    """
    with at.db.reading() as session:
        left = teams.quota_left(session, team_id)
        if left is not None and is_counted:
            left += stored.size
        if left is not None and stored.size > left and not _is_named(session, stored.sha256, team_id):
            raise TooLarge(
                f"{name} has {stored.size} bytes; the team's quota leaves {left}.",
                subject=name,
                remedy="Delete what the team does not need, or ask the operator for more.",
            )


def _is_named(session: Session, sha256: str, team_id: str) -> bool:
    """Whether the team has these bytes already: they count once."""
    files = select(InstanceFile.id).join(Instance).where(InstanceFile.sha256 == sha256, Instance.team_id == team_id)
    sets = select(Dataset.id).where(Dataset.sha256 == sha256, Dataset.team_id == team_id)
    return session.scalar(files.limit(1)) is not None or session.scalar(sets.limit(1)) is not None


def _refuse(at: Hub, upload: Upload, error: OakmillError) -> None:
    with at.db.session() as session:
        row = session.get(Upload, upload.id)
        if row is not None:
            row.status, row.error, row.sha256 = UploadStatus.FAILED, error.message[:2000], None
    _tell_job(at, upload, error)


def _tell_job(at: Hub, upload: Upload, error: OakmillError) -> None:
    """A job that waits for what was refused has failed."""
    if upload.purpose["kind"] == "quantization":
        with at.db.session() as session:
            queue.fail_waiting(session, upload.purpose["job_id"], error)


def _instance(at: Hub, caller: Caller, upload: Upload, stored: Stored) -> Completed:
    instance_id = upload.purpose["instance_id"]
    if not _has_file(at, instance_id, upload, stored):
        try:
            ingest.receive(
                at.db, at.blobs, at.isolated, instance_id, name=upload.name, stored=stored, settings=at.settings
            )
        except Conflict:  # a page that was reloaded sent the same file again, and that request was quicker
            if not _has_file(at, instance_id, upload, stored):
                raise
    with at.db.reading() as session:
        row = session.get_one(Instance, instance_id)
        missing = tuple(row.facts.get("missing") or ())
        return _completed(upload, stored, instance_id=row.id, status=row.status, missing=missing)


def _has_file(at: Hub, instance_id: str, upload: Upload, stored: Stored) -> bool:
    """Whether the answer to an earlier request was lost."""
    same = select(InstanceFile.id).where(InstanceFile.instance_id == instance_id)
    same = same.where(InstanceFile.name == upload.name, InstanceFile.sha256 == stored.sha256)
    with at.db.reading() as session:
        return session.scalar(same) is not None


def _dataset(at: Hub, caller: Caller, upload: Upload, stored: Stored) -> Completed:
    made = sets.receive(at, caller, upload.purpose["name"], stored, upload.team_id, file=upload.name)
    return _completed(upload, stored, dataset_id=made)


def _quantization(at: Hub, caller: Caller, upload: Upload, stored: Stored) -> Completed:
    job_id, file = upload.purpose["job_id"], f"{stored.sha256}:{upload.name}"
    with at.db.session() as session:
        job = session.get(Job, job_id)
        if job is None:
            raise Conflict("The job that waited for this upload is gone.", subject=job_id)
        if job.files.get("quantization_data") != file:
            at.blobs.record(session, stored)
            job = submit.release_waiting(session, job_id, {"quantization_data": file}, settings=at.settings)
        return _completed(upload, stored, job_id=job.id, status=job.status)


def _parameter(at: Hub, caller: Caller, upload: Upload, stored: Stored) -> Completed:
    """A file for a parameter. A zip of images is looked at now; of others, the job that names it says what is wrong.

    Raises:
        SourceError, UnsafeSource, LimitExceeded: the zip holds no images, or cannot be unpacked.
    """
    if upload.purpose["parameter"] not in FILES or not upload.name.lower().endswith(".zip"):
        return _completed(upload, stored, reference=upload.id)
    found = sets.examined(at, stored, upload.team_id, file=upload.name)
    told = [item for item in worst_first(found.doctor.findings) if item.severity.rank >= Severity.WARNING.rank]
    notes = tuple(": ".join(filter(None, (item.title, item.message))) for item in told)
    return _completed(upload, stored, reference=upload.id, images=found.count, notes=notes)


def _bundle(at: Hub, caller: Caller, upload: Upload, stored: Stored) -> Completed:
    """A bundle, all of whose bytes are as they are to be; what it would bring is asked for next."""
    with taking.lying(at, stored.sha256) as path:
        bundle_file.verify(path, name=upload.name)
    return _completed(upload, stored, reference=upload.id)


def _proof(at: Hub, caller: Caller, upload: Upload, stored: Stored) -> Completed:
    """A passport with a camera in it: its job has succeeded; asked again, it says the same."""
    job_id, token = upload.purpose["job_id"], upload.purpose["token"]
    with at.db.reading() as session:
        job = visibility.job(session, caller, job_id)
        done = (job.result or {}).get("measured", {}).get("proof", {}).get("sha256") == stored.sha256
        instance_id = job.source_id
    if not done:
        instance_id = measurements.proved(at, caller, job_id, token, stored)
    return _completed(upload, stored, job_id=job_id, instance_id=instance_id, status=JobStatus.SUCCEEDED)


_ARRIVALS: dict[str, Callable[[Hub, Caller, Upload, Stored], Completed]] = {
    "instance": _instance,
    "dataset": _dataset,
    "quantization": _quantization,
    "file": _parameter,
    uploaded.WHOLE: _bundle,
    uploaded.BEGUN: _bundle,
    "proof": _proof,
}
