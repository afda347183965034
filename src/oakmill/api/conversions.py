"""Asks for conversions: what is asked is checked by the platform's own spec, and names files of the hub only."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from oakmill.api import answers
from oakmill.api.bodies import Body, Text
from oakmill.api.jobs import Priority
from oakmill.hub import jobs
from oakmill.hub.auth import Converter, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Job
from oakmill.registry import access
from oakmill.registry.tables import Instance
from oakmill.spec.platforms import PlatformName

routes = router("conversions")


class Limits(Body):
    """How much a job may use; less than the operator allows, never more."""

    memory_mb: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    seconds: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    output_mb: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class ConversionIn(Body):
    """A conversion that is asked for.

    `spec` holds the platform's parameters, as GET /specs/{platform} describes them. Where it names files
    (`quantization_data`, `verification_images`) they are a calibration set of the team's, by identifier or slug, or
    for quantization a named set. These and `aimet_encodings` may also be the identifier of an upload whose purpose is
    `file`.
    """

    platform: PlatformName
    spec: dict[str, Any] = Field(default_factory=dict)
    name: Text | None = None
    priority: Priority = 0
    limits: Limits = Limits()
    force: bool = Field(False, description="Take nothing from the cache, and compare with what is there.")
    wait_for_upload: bool = Field(False, description="Wait for an upload with the purpose quantization.")


@routes.post("/instances/{instance_id}/conversions", status_code=201)
def convert(instance_id: Id, body: ConversionIn, session: Writing, caller: Converter, at: TheHub) -> Job:
    """Convert a source. The same request gets the same job while it lives, and is answered at once when it was made."""
    source = access.changeable(session, caller, Instance, instance_id)
    spec, files = jobs.parse(session, caller, body.platform, body.spec)
    job = jobs.convert(
        session,
        caller,
        at,
        source,
        spec,
        files=files,
        name=body.name,
        priority=body.priority,
        limits=body.limits.model_dump(exclude_none=True),
        force=body.force,
        wait_for_upload=body.wait_for_upload,
    )
    return answers.job(session, job)
