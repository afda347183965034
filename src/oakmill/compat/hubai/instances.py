"""HubAI's instances: listed, made and deleted; their files, the links to those, and an archive's config."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query as Parameters
from fastapi import Request
from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.compat import downloads
from oakmill.compat.hubai import configs, lists, named, shapes, words
from oakmill.compat.hubai.inputs import STATED
from oakmill.compat.hubai.lists import Listing, Word
from oakmill.compat.wire import MODELS, Asked, Json, router
from oakmill.errors import Conflict, SpecError
from oakmill.hub.auth import Anyone, Converter, Reading, TheHub, Writing
from oakmill.hub.removal import remove
from oakmill.hub.routing import Id
from oakmill.registry import instances, search
from oakmill.registry.tables import Instance, InstanceStatus, Origin

routes = router()

_STATES = {"available": {InstanceStatus.AVAILABLE}, "unavailable": set(InstanceStatus) - {InstanceStatus.AVAILABLE}}
_CLASSES = {"BASE": Origin.SOURCE, "EXPORTED": Origin.CONVERTED}


class InstancesListing(Listing):
    """The filters of the list of instances; levels of optimisation and compression are Hailo's."""

    platforms: Annotated[list[Word], Field(max_length=lists.SEVERAL, default_factory=list)]
    search: Annotated[str, Field(max_length=400)] = ""
    model_id: Word | None = None
    model_version_id: Word | None = None
    model_type: Word | None = None
    parent_id: Word | None = None
    model_class: Annotated[str, Field(pattern="^(BASE|EXPORTED)$")] | None = None
    name: Word | None = None
    hash: Word | None = None
    status: Annotated[str, Field(pattern="^(available|unavailable)$")] | None = None
    compression_level: int | None = None
    optimization_level: int | None = None

    def types(self) -> tuple[str, ...] | None:
        """The types that both of the list's filters allow; None where nothing is left."""
        both = set(self.platforms) & {self.model_type} if self.platforms and self.model_type else set(self.platforms)
        if not both and self.platforms:
            return None
        return tuple(sorted(both)) or ((self.model_type,) if self.model_type else ())


class NewInstance(Asked):
    """A new instance, for a file that is uploaded next."""

    name: Word
    model_version_id: Word
    parent_id: Word | None = None
    model_type: Word = "ONNX"
    quantization_mode: Word | None = None
    tags: Annotated[list[Word], Field(max_length=100)] | None = None
    input_shape: Annotated[list[list[int]], Field(max_length=64)] | None = None
    quantization_data: Word | None = None
    is_deployable: bool | None = None
    yolo_version: words.YoloVersion | None = None


@routes.get(f"{MODELS}/modelInstances")
def list_instances(asked: Annotated[InstancesListing, Parameters()], session: Reading, caller: Anyone) -> list[Json]:
    """The instances that the caller sees."""
    types = asked.types()
    if types is None or asked.compression_level is not None or asked.optimization_level is not None:
        return []
    found: list[Instance] = []
    above = named.below(session, caller, model=asked.model_id, version=asked.model_version_id)
    for status in sorted(_STATES[asked.status]) if asked.status else (None,):
        query = asked.query(
            text=asked.search, platforms=types, slug=asked.slug, name=asked.name, hash=asked.hash,
            **above, parent_id=asked.parent_id, status=status,
            origin=_CLASSES[asked.model_class] if asked.model_class else None,
        )  # fmt: skip
        found += lists.rows(search.instances, session, caller, query, asked.limit)
    found.sort(key=lambda row: (getattr(row, asked.sort), row.id), reverse=asked.order == "desc")
    return [shapes.instance(session, row) for row in found[: asked.limit]]


@routes.post(f"{MODELS}/modelInstances")
def create_instance(body: NewInstance, session: Writing, caller: Converter) -> Json:
    """A new instance, which is available once its file has come."""
    if body.is_deployable:  # that something is not to be deployed, nothing here contradicts
        raise SpecError("is_deployable: this hub has no such mark.", subject="is_deployable", remedy="Omit it.")
    row = instances.create(
        session,
        caller,
        body.model_version_id,
        name=body.name,
        model_type=body.model_type,
        parent_id=body.parent_id,
        precision=body.quantization_mode,
        tags=body.tags or [],
        input_shape=body.input_shape or [],
        parameters={STATED: body.input_shape} if body.input_shape else {},
        quantization_data=body.quantization_data,
        yolo_version=body.yolo_version,
    )
    return shapes.instance(session, row)


@routes.get(f"{MODELS}/modelInstances/{{instance_id}}")
def get_instance(instance_id: Id, session: Reading, caller: Anyone) -> Json:
    """An instance."""
    return shapes.instance(session, instances.instance(session, caller, instance_id))


@routes.delete(f"{MODELS}/modelInstances/{{instance_id}}")
def delete_instance(instance_id: Id, session: Writing, caller: Converter, at: TheHub) -> None:
    """Delete the instance and what was made from it, as clients expect."""
    remove(at, session, caller, "instances", instance_id, force=True)


@routes.get(f"{MODELS}/modelInstances/{{instance_id}}/files")
def list_files(instance_id: Id, session: Reading, caller: Anyone) -> list[Json]:
    """The instance's files, its passport and recipe among them."""
    return [shapes.file(row) for row in instances.instance(session, caller, instance_id).files]


@routes.get(f"{MODELS}/modelInstances/{{instance_id}}/download")
def list_links(instance_id: Id, request: Request, session: Reading, caller: Anyone, at: TheHub) -> list[str]:
    """Where the model's files are for a while, without a key; the model itself is the last."""
    row = _available(session, instances.instance(session, caller, instance_id))
    return downloads.links(at, request, caller, row)[::-1]


@routes.get(f"{MODELS}/modelInstances/{{instance_id}}/config")
def get_config(instance_id: Id, session: Reading, caller: Anyone, at: TheHub) -> Json:
    """The config.json of the NN Archive, as far as the client's schema knows it."""
    row = _available(session, instances.instance(session, caller, instance_id))
    return configs.known(configs.of(at, row))


def _available(session: Session, row: Instance) -> Instance:
    if row.status != InstanceStatus.AVAILABLE:
        raise Conflict(f"The instance {row.name} is {row.status}.", subject=row.id, remedy="Its job says more.")
    return row
