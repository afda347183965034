"""Takes uploaded model files in: each is looked at in a process of its own before an instance may be used.

A hostile file meets limits of time and memory there, and never the server's own process. A model of several files
(ONNX with external data, an IR with its weights) is complete when all that it names have come.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from oakmill import errors
from oakmill.errors import Conflict, LimitExceeded, NotAModel, NotFound, OakmillError, ToolKilled
from oakmill.jobs.fair_semaphore import FairSemaphore
from oakmill.jobs.kinds import INSPECT, SOURCE, inside
from oakmill.jobs.supervise import Child
from oakmill.registry import instances
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Role
from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore, Stored
from oakmill.storage.database import Database

Facts = dict[str, Any]
"""What `inspection.inspect` found."""

_SECONDS = 60
_KEPT = ("opset", "producer", "inputs", "outputs", "heads", "archive", "preflight", "size", "missing")


class Inspector:
    """Looks at files, a few at once, in processes of which one is warm before it is needed."""

    def __init__(self, settings: Settings) -> None:
        self.semaphore = FairSemaphore()
        self._settings = settings
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._closed = False

    def warm(self) -> None:
        """Begin to load what the first look needs."""
        with self._lock:
            if not self._closed:
                self._ready()

    def inspect(self, files: Mapping[str, Path], owner: str = "") -> Facts:
        """What is known of a model, by the names of its files and where they lie now; `owner` has them looked at.

        Raises:
            SourceError, UnsupportedModel: as `oakmill.jobs.inspection.inspect`.
            LimitExceeded: looking took more time or memory than a look may.
            Unavailable: too many others are being looked at.
        """
        folder = self._settings.hub.absolute() / "work" / f"{INSPECT}-{secrets.token_hex(8)}"
        try:
            places = _laid_out(files, folder)
            with self.semaphore.slot(owner):
                child = self._taken()
                try:
                    answer = self._asked(child, folder, places)
                finally:
                    child.stop(grace=0)
                    self.warm()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if "error" in answer:
            raise _as_error(answer["error"])
        found: Facts = answer["result"]
        return found

    def close(self) -> None:
        """End the waiting process; no other is started."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.stop(grace=0)
                self._child = None

    def _taken(self) -> Child:
        """The waiting process, for one look."""
        with self._lock:
            child, self._child = self._ready(), None
            return child

    def _ready(self) -> Child:
        """The waiting process; it may be started by any thread, so it is not tied to the one that starts it."""
        if self._child is None or self._child.has_ended:
            self._child = Child(leashed=False)
        return self._child

    def _asked(self, child: Child, folder: Path, files: list[Path]) -> Mapping[str, Any]:
        deadline, memory_mb = time.monotonic() + _SECONDS, self._settings.tool_memory_mb

        def look() -> None:
            if child.exceeds(memory_mb) or time.monotonic() > deadline:
                raise LimitExceeded(
                    f"Looking at {files[0].name} took more than {_SECONDS} s or {memory_mb} MB.", subject=files[0].name
                )

        settings = self._settings.model_dump(mode="json", exclude={"database", "store", "store_options"})
        child.send({"kind": INSPECT, "folder": str(folder), "files": list(map(str, files)), "settings": settings})
        try:
            return child.follow(lambda _: None, lambda _: None, look)
        except ToolKilled as error:
            message = f"Looking at {files[0].name} ended the process that did it."
            raise NotAModel(message, subject=files[0].name, remedy="Is it damaged?", log=error.log) from error


def _laid_out(files: Mapping[str, Path], folder: Path) -> list[Path]:
    """The files under their own names, in sub-folders where these say so, by links where that can be."""
    for name in (SOURCE, "tmp"):
        (folder / name).mkdir(parents=True)
    places = []
    for name, path in files.items():
        place = inside(folder / SOURCE, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, place)
        places.append(place)
    return places


def _as_error(data: Mapping[str, Any]) -> OakmillError:
    """The error that the other process met."""
    kind = getattr(errors, str(data["code"]), OakmillError)
    error: OakmillError = kind(data["message"], remedy=data["remedy"], subject=data["subject"], log=data["log"])
    return error


def receive(
    db: Database,
    blobs: BlobStore,
    inspector: Inspector,
    settings: Settings,
    instance_id: str,
    *,
    name: str,
    stored: Stored,
) -> Facts:
    """Look at a file that is complete in the store, with those that came before, and make it the instance's.

    The instance is available once its model is complete; until then `missing` names what is wanted. A file that is
    refused leaves the instance as it was.

    Raises:
        SourceError, UnsupportedModel, LimitExceeded, Unavailable: as `Inspector.inspect`.
        NotAModel: it is a model of another type than the instance.
        NotFound: the instance is gone.
        Conflict: the instance is complete already, or has a file of that name.
    """
    with db.reading() as session:
        instance = _open_instance(session, instance_id, name)
        owner = instance.team_id
        before = [(file.name, file.sha256) for file in instances.files_of(session, instance)]
    folder = settings.hub.absolute() / "work" / f"{INSPECT}-{secrets.token_hex(8)}-files"
    try:
        places = {}
        for file_name, sha256 in [*before, (name, stored.sha256)]:
            places[file_name] = folder / sha256
            blobs.fetch(sha256, places[file_name])
        facts = inspector.inspect(places, owner)
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)
    with db.session() as session:
        instance = _open_instance(session, instance_id, name)
        blobs.record(session, stored)
        instances.add_file(session, instance, name=name, sha256=stored.sha256, size=stored.size, role=Role.PART)
        accept(session, instance, facts)
    return facts


def _open_instance(session: Session, instance_id: str, name: str) -> Instance:
    instance = session.get(Instance, instance_id)
    if instance is None:
        raise NotFound(f"There is no instance {instance_id}.", subject=instance_id)
    taken = any(_collide(file.name, name) for file in instances.files_of(session, instance))
    if taken or instance.status == InstanceStatus.AVAILABLE:
        what = f"has a file {name} already" if taken else "is complete already"
        raise Conflict(f"The instance {instance.name} {what}.", subject=instance_id, remedy="Create another instance.")
    return instance


def _collide(one: str, other: str) -> bool:
    """Whether two names cannot lie in one folder: they are the same, or one is the other's sub-folder."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def accept(session: Session, instance: Instance, facts: Facts) -> bool:
    """Note what was found of an instance whose files are named by rows; True when it is available now.

    Which model an NN Archive holds nobody knows before it is looked at, so there the archive decides the type.

    Raises:
        NotAModel: it is a model of another type than the instance.
    """
    known = {key: facts[key] for key in _KEPT if key in facts}
    if facts["complete"] and facts["is_nn_archive"]:
        instances.update(session, instance, model_type=facts["model_type"])
    if facts["complete"] and facts["model_type"] != instance.model_type:
        raise NotAModel(
            f"{facts['model']} is {facts['model_type']}, but the instance is for {instance.model_type}.",
            subject=str(facts["model"]),
            remedy=f"Create an instance of the type {facts['model_type']}.",
        )
    if not facts["complete"]:
        instances.update(session, instance, facts=known)
        return False
    model = next(file for file in instances.files_of(session, instance) if file.name == facts["model"])
    _make_model(instance, model)
    instances.set_available(
        session,
        instance,
        facts=known,
        is_nn_archive=bool(facts["is_nn_archive"]),
        input_shape=[item["shape"] for item in facts["inputs"]],
    )
    return True


def _make_model(instance: Instance, file: InstanceFile) -> None:
    """The file that is downloaded, and gives the instance its hash."""
    file.role = Role.MODEL
    instance.sha256, instance.size = file.sha256, file.size
