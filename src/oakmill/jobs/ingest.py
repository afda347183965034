"""Takes uploaded model files in: each is looked at in a process of its own before an instance may be used.

A hostile file meets limits of time and memory there, and never the server's own process. A model of several files
(ONNX with external data, an IR with its weights) is complete when all that it names have come.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotAModel, NotFound, UnsupportedModel
from oakmill.model.source import SourceFormat
from oakmill.registry import instances
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Origin, Role
from oakmill.registry.words import ModelType
from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore, Stored
from oakmill.storage.database import Database
from oakmill.toolchains.base import State
from oakmill.toolchains.ultralytics.toolchain import UltralyticsToolchain
from oakmill.untrusted.ask import IsolatedWorkers, Lay
from oakmill.untrusted.questions import Inspection, InspectModel

FORMATS = frozenset(ModelType) - {ModelType.HAILO}
"""Types of instances that are a source's format."""


def inspect(
    isolated: IsolatedWorkers, files: Mapping[str, Lay], owner: str = "", *, compiled: bool = False
) -> Inspection:
    """What is known of a model, or of a platform's file, by the names of its files; `owner` is the team that asks.

    Raises:
        SourceError, UnsupportedModel: as `oakmill.untrusted.model.inspect`.
        LimitExceeded, Unavailable: as `IsolatedWorkers.asking`.
    """
    return isolated.ask(InspectModel(names=tuple(files), compiled=compiled), files, owner)


def receive(
    db: Database,
    blobs: BlobStore,
    isolated: IsolatedWorkers,
    instance_id: str,
    *,
    name: str,
    stored: Stored,
    settings: Settings,
) -> Inspection:
    """Look at a file that is complete in the store, with those that came before, and make it the instance's.

    The instance is available once its model is complete; until then `missing` names what is wanted. A file that is
    refused leaves the instance as it was.

    Raises:
        SourceError, UnsupportedModel, LimitExceeded, Unavailable: as `inspect`.
        UnsupportedModel: it is a checkpoint, and the operator has not switched their export on.
        NotAModel: it is a source, and the instance is for a platform's file, or for another platform's.
        NotFound: the instance is gone.
        Conflict: the instance is complete already, or has a file of that name.
    """
    with db.reading() as session:
        instance = _open_instance(session, instance_id, name)
        owner, compiled = instance.team_id, instance.model_type not in FORMATS
        before = [(file.name, file.sha256) for file in instances.files_of(session, instance)]
    files = {file: partial(blobs.fetch, sha256) for file, sha256 in [*before, (name, stored.sha256)]}
    found = inspect(isolated, files, owner, compiled=compiled)
    _require_exporter(found, settings)
    with db.session() as session:
        instance = _open_instance(session, instance_id, name)
        blobs.record(session, stored)
        instances.add_file(session, instance, name=name, sha256=stored.sha256, size=stored.size, role=Role.PART)
        accept(session, instance, found)
    return found


def _require_exporter(found: Inspection, settings: Settings) -> None:
    """A checkpoint is taken where somebody accepted the licence of what exports it, or has installed it so."""
    if found.source is None or found.source.format != SourceFormat.CHECKPOINT:
        return
    status = UltralyticsToolchain(settings).status()
    if status.unaccepted and status.state is State.MISSING:
        raise UnsupportedModel(
            f"{found.model} is a checkpoint of Ultralytics, and this hub does not export those",
            subject=str(found.model),
            remedy="Export it to ONNX (yolo export model=best.pt format=onnx opset=16), or have the hub's operator "
            f"switch it on, who accepts the {status.unaccepted} by that: the page of toolchains, or {status.detail}",
        )


def _open_instance(session: Session, instance_id: str, name: str) -> Instance:
    instance = session.get(Instance, instance_id)
    if instance is None or instance.trash_id is not None:
        raise NotFound(f"There is no instance {instance_id}.", subject=instance_id)
    taken = any(_collide(file.name, name) for file in instances.files_of(session, instance))
    if taken or instance.status == InstanceStatus.AVAILABLE:
        what = f"has a file {name} already" if taken else "is complete already"
        raise Conflict(f"The instance {instance.name} {what}.", subject=instance_id, remedy="Create another instance.")
    return instance


def _collide(one: str, other: str) -> bool:
    """Whether two names cannot lie in one folder: they are the same, or one is the other's sub-folder."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def accept(session: Session, instance: Instance, found: Inspection) -> bool:
    """Note what was found of an instance whose files are named by rows; True when it is available now.

    The bytes decide which format it is: what was said before, or guessed by a file's name, may be another's.

    Raises:
        NotAModel: it is a platform's file, and the instance is for another's.
    """
    source = found.source
    if source is None:
        instances.update(session, instance, facts=found.as_facts())
        return False
    if instance.model_type in FORMATS:
        instances.update(session, instance, model_type=source.model_type)
    if source.model_type != instance.model_type:
        raise NotAModel(
            f"{found.model} is {source.model_type}, but the instance is for {instance.model_type}.",
            subject=str(found.model),
            remedy=f"Create an instance of the type {source.model_type}.",
        )
    if instance.model_type not in FORMATS:
        instance.origin = Origin.CONVERTED
    model = next(file for file in instances.files_of(session, instance) if file.name == found.model)
    _make_model(instance, model)
    instances.set_available(
        session,
        instance,
        facts=found.as_facts(),
        is_nn_archive=source.is_nn_archive,
        input_shape=[list(item.shape) for item in source.inputs],
    )
    return True


def _make_model(instance: Instance, file: InstanceFile) -> None:
    """The file that is downloaded, and gives the instance its hash."""
    file.role = Role.MODEL
    instance.sha256, instance.size = file.sha256, file.size
