"""The folder in which one attempt at a job works: its source, the files that its spec names, and what it makes.

`<hub>/work/<job>/<attempt>/` holds `source/`, `files/`, `tmp/` and `out/`; it goes when the attempt ends. What a
killed worker left goes when the job has ended, or is tried again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import NotFound
from oakmill.files import hold
from oakmill.jobs.identity import named_file
from oakmill.jobs.kinds import SOURCE
from oakmill.jobs.submit import file_name
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import InstanceFile, Role
from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore
from oakmill.storage.database import Database
from oakmill.untrusted.folder import inside

FOLDERS = (SOURCE, "files", "tmp", "out")
IMAGES = "verification_images"
"""What measures accuracy is a folder or one image; a set of the team's is a zip."""
_ABANDONED_SECONDS = 3600


class Workspace:
    """The folder of one attempt."""

    def __init__(self, settings: Settings, job: Job) -> None:
        self.job = job
        self.settings = settings
        self.folder = settings.hub.absolute() / "work" / job.id / str(job.attempt)

    @property
    def out(self) -> Path:
        """What the attempt makes."""
        return self.folder / "out"

    def furnish(self, db: Database, blobs: BlobStore) -> dict[str, Any]:
        """Make the folder with all that the job reads, by hard links where that can be; returns the request to a child.

        Raises:
            NotFound: the source, or a file that the spec names, is gone.
            BlobDamaged, StoreUnreachable: as `BlobStore.fetch`.
            UnsafeSource, SourceError: a set of images is a zip that is not to be unpacked.
        """
        shutil.rmtree(self.folder.parent, ignore_errors=True)  # an attempt before this one was lost
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
        with db.reading() as session:
            sources = _sources(session, self.job)
            files = {field: named_file(session, self.job.team_id, value) for field, value in self.job.files.items()}
        for file in sources:
            blobs.fetch(file.sha256, inside(self.folder / SOURCE, file.name))
        named = {}
        for field, (sha256, name) in files.items():
            target = self.folder / "files" / field / file_name(f":{name}")
            blobs.fetch(sha256, target)
            named[field] = str(_unpacked(target, self.settings) if field == IMAGES else target)
        return {
            "kind": self.job.kind,
            "folder": str(self.folder),
            "model": str(inside(self.folder / SOURCE, sources[0].name)),
            "platform": self.job.platform,
            "spec": {**self.job.spec, **named},
            "settings": settings_of(self.settings, self.job),
        }

    def clear(self) -> None:
        """Remove the folder; that of another attempt stays, for this one may have been lost long ago."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()


def _sources(session: Session, job: Job) -> list[InstanceFile]:
    """The source's files, the model first."""
    wanted = select(InstanceFile).where(
        InstanceFile.instance_id == job.source_id, InstanceFile.role.in_((Role.MODEL, Role.PART))
    )
    found = sorted(session.scalars(wanted), key=lambda file: (file.role != Role.MODEL, file.name))
    if not found or found[0].role != Role.MODEL:
        raise NotFound(f"The source of job {job.name} is gone.", subject=str(job.source_id), remedy="Upload it again.")
    return found


def _unpacked(path: Path, settings: Settings) -> Path:
    """The folder of a zip's images; any other file is what it is.

    Raises:
        UnsafeSource, SourceError: as `zips.unpack`.
    """
    from oakmill.calibration.datasets.zips import unpack

    if path.suffix.lower() != ".zip":
        return path
    folder = path.with_suffix("")
    unpack(path, folder, settings.datasets_max_mb)
    return folder


def settings_of(settings: Settings, job: Job) -> dict[str, Any]:
    """The settings of the process that runs a job: the team's cache, the job's limits, and no secret."""
    limits: Mapping[str, int] = job.limits or {}
    changed: dict[str, Any] = {
        "cache_folder": settings.hub.absolute() / "cache" / job.team_id,
        "database": None,
        "store": None,
        "store_options": {},
    }
    for name, limit in (("tool_memory_mb", "memory_mb"), ("tool_seconds", "seconds"), ("tool_output_mb", "output_mb")):
        if limit in limits:
            changed[name] = min(getattr(settings, name), max(limits[limit], _LEAST.get(name, 1)))
    return settings.model_copy(update=changed).model_dump(mode="json")


_LEAST = {"tool_memory_mb": 256, "tool_seconds": 5}


def sweep(settings: Settings, db: Database) -> None:
    """Remove what killed processes of this machine left: of jobs that nobody runs now, and of looks at uploads."""
    folder = settings.hub / "work"
    found = list(folder.iterdir()) if folder.is_dir() else []
    with db.reading() as session:
        names = [path.name for path in found]
        running = set(session.scalars(select(Job.id).where(Job.id.in_(names), Job.status == JobStatus.RUNNING)))
    for path in found:
        is_job = path.name.startswith("aij_")
        if path.name not in running and (is_job or _is_abandoned(path)):
            shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    """Whether no worker that looks at files has this folder; one may have waited in it for days."""
    try:
        if time.time() - path.stat().st_mtime < _ABANDONED_SECONDS:
            return False
        os.close(hold(path))
    except OSError:  # it is somebody's, or is gone meanwhile
        return False
    return True
