"""Which jobs and uploads a caller sees, by the registry's rule for what they belong to."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, false, or_, true
from sqlalchemy.orm import Session

from oakmill.errors import Forbidden
from oakmill.jobs.tables import Job
from oakmill.registry import access
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance
from oakmill.storage.tables import Upload


def jobs(caller: Caller) -> ColumnElement[bool]:
    """A job is seen by those of its team who see its source: a public model's jobs are no other team's business."""
    if caller.everywhere and caller.team_id is None:
        return true()
    if caller.team_id is None:
        return false()
    source = or_(false(), *access.parts(caller, Instance, team_id=caller.team_id))
    return (Job.team_id == caller.team_id) & exists().where(Instance.id == Job.source_id, source)


def job(session: Session, caller: Caller, job_id: str) -> Job:
    """The job of that identifier.

    Raises:
        NoKey: no key was given.
        NotFound: there is none, or the caller does not see it.
    """
    found = session.get(Job, job_id)
    if found is None or session.query(Job.id).where(Job.id == job_id, jobs(caller)).first() is None:
        raise access.unseen(caller, "job", job_id)
    return found


def changeable_job(session: Session, caller: Caller, job_id: str) -> Job:
    """The job of that identifier, for a change.

    Raises:
        NoKey: no key was given.
        NotFound: there is none, or the caller does not see it.
        Forbidden: the key does not allow changes.
    """
    found = job(session, caller, job_id)
    caller.require("convert")
    return found


def upload(session: Session, caller: Caller, upload_id: str) -> Upload:
    """The upload of that identifier: one of the key's own, or for the team's admins any of the team's.

    Raises:
        NotFound: there is none, or the caller does not see it.
    """
    found = session.get(Upload, upload_id)
    if found is None or not _sees(caller, found):
        raise access.unseen(caller, "upload", upload_id)
    return found


def _sees(caller: Caller, found: Upload) -> bool:
    if caller.everywhere and caller.team_id is None:
        return True
    if found.team_id != caller.team_id:
        return False
    return found.key_id == caller.key_id or caller.may_for_whole_team("admin")


def require_tools(caller: Caller) -> None:
    """Go on only for who may change what the whole hub uses.

    Raises:
        Forbidden: the key is not an admin's, or is for one model only.
    """
    caller.require("admin")
    if caller.model_id is not None:
        raise Forbidden("A key for one model changes nothing that others use.", remedy="Use a key of the whole team.")
