"""What can be asked of a conversion, for a platform and for a model; and whether the model can go there at all."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field, ValidationError

from oakmill.api.bodies import Body
from oakmill.errors import Conflict, SpecError
from oakmill.hub import looks
from oakmill.hub.auth import Anyone, Reader, Reading, TheHub
from oakmill.hub.parameters import UPLOADED
from oakmill.hub.routing import Id, router
from oakmill.jobs.submit import file_fields
from oakmill.model import merge_inputs, prefill
from oakmill.model.source import Tensor
from oakmill.preflight.findings import reports_of
from oakmill.registry import instances
from oakmill.registry.tables import Instance, InstanceStatus
from oakmill.spec import InputSpec, wrong
from oakmill.spec.platforms import PLATFORMS, PlatformName

routes = router("conversions")


class SpecOut(BaseModel):
    """The parameters of a platform."""

    platform: PlatformName
    json_schema: dict[str, Any] = Field(description="JSON Schema of what `spec` of a conversion may hold.")
    defaults: dict[str, Any]
    inputs: list[dict[str, Any]] = Field(
        description="What the instance's own archive says of each input, or what its network is recognised to take."
    )
    origins: dict[str, str] = Field(
        description="From where each value of an input comes: archive, recognised or model."
    )


class PreflightIn(Body):
    """What is to be checked."""

    platforms: list[PlatformName] = Field(default_factory=lambda: list(PLATFORMS), min_length=1, max_length=16)
    inputs: Annotated[list[dict[str, Any]], Field(max_length=64)] = Field(
        default_factory=list, description="What is asked of the inputs, as in a conversion's spec."
    )


class PreflightOut(BaseModel):
    """The report on each platform as `oakmill check` gives it: `verdict` is the worst of its findings."""

    platforms: list[dict[str, Any]]


@routes.get("/specs/{platform}")
def get_spec(
    platform: PlatformName,
    session: Reading,
    caller: Anyone,
    instance_id: Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = None,
) -> SpecOut:
    """The parameters, with their defaults; for an instance, with what its NN Archive says of its inputs."""
    kind = PLATFORMS[platform].spec
    schema = kind.model_json_schema()
    left_out = set(file_fields(kind)) - set(UPLOADED)
    for name in left_out | {"platform"}:
        schema["properties"].pop(name, None)
    defaults = kind().model_dump(mode="json", exclude=left_out | {"platform"})
    inputs: list[dict[str, Any]] = []
    origins: dict[str, str] = {}
    if instance_id is not None:
        inputs, origins = _prefilled(instances.instance(session, caller, instance_id))
    return SpecOut(platform=platform, json_schema=schema, defaults=defaults, inputs=inputs, origins=origins)


@routes.post("/instances/{instance_id}/preflight")
def preflight(instance_id: Id, body: PreflightIn, caller: Reader, at: TheHub) -> PreflightOut:
    """Whether the source can go to each platform, and what stands in the way, node by node."""
    with at.db.reading() as session:
        row = instances.instance(session, caller, instance_id)
    _require_source(row)
    found = reports_of(row.facts)
    if body.inputs or not set(body.platforms) <= found.keys():
        found = looks.preflight(at, row, _checked(body.inputs), body.platforms)
    return PreflightOut(platforms=[found[name].as_dict() for name in body.platforms])


def _require_source(row: Instance) -> None:
    if row.parent_id is not None or row.status != InstanceStatus.AVAILABLE:
        raise Conflict(f"The instance {row.name} is no source that is complete.", subject=row.id)


def _checked(inputs: list[dict[str, Any]]) -> list[InputSpec]:
    try:
        return [InputSpec.model_validate(item) for item in inputs]
    except ValidationError as error:
        place, words = wrong.first_of(error.errors())
        raise SpecError(f"inputs.{place}: {words}", subject=f"inputs.{place}") from None


def _prefilled(row: Instance) -> tuple[list[dict[str, Any]], dict[str, str]]:
    tensors = tuple(Tensor(item["name"], tuple(item["shape"]), item["dtype"]) for item in row.facts.get("inputs", ()))
    merged = merge_inputs((), prefill(row.facts.get("archive"), tensors), looks.recognised_input(row))
    return [item.model_dump(mode="json") for item in merged.inputs], merged.origins
