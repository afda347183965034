"""Asks for conversions: what is asked is checked by the platform's own spec, and names files of the hub only."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.api.auth import Converter, TheHub, Writing
from oakmill.api.jobs import JobOut, Priority, detail, record
from oakmill.api.routing import Id, router
from oakmill.api.schemas import Body, Text
from oakmill.calibration.datasets import SETS
from oakmill.errors import NotFound, SpecError
from oakmill.jobs import requests
from oakmill.registry import access, datasets
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance

routes = router("conversions")

Platform = Literal["rvc2", "rvc3", "rvc4"]
FILES = ("quantization_data", "verification_images")
"""Parameters that may name a calibration set of the team's."""


class Limits(Body):
    """How much a job may use; less than the operator allows, never more."""

    memory_mb: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    seconds: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    output_mb: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class ConversionIn(Body):
    """A conversion that is asked for.

    `spec` holds the platform's parameters, as GET /specs/{platform} describes them. Where it names files
    (`quantization_data`, `verification_images`) they are a calibration set of the team's, by identifier or slug, or
    for quantization a named set.
    """

    platform: Platform
    spec: dict[str, Any] = Field(default_factory=dict)
    name: Text | None = None
    priority: Priority = 0
    limits: Limits = Limits()
    force: bool = Field(False, description="Take nothing from the cache, and compare with what is there.")
    wait_for_upload: bool = Field(False, description="Wait for an upload with the purpose quantization.")


@routes.post("/instances/{instance_id}/conversions", status_code=201)
def convert(instance_id: Id, body: ConversionIn, session: Writing, caller: Converter, at: TheHub) -> JobOut:
    """Convert a source. The same request gets the same job while it lives, and is answered at once when it was made."""
    source = access.changeable(session, caller, Instance, instance_id)
    values, files = with_files(session, caller, body.spec)
    spec = requests.parse({**values, "platform": body.platform}, files)
    job = requests.request(
        session,
        caller,
        source,
        spec,
        settings=at.settings,
        files=files,
        name=body.name,
        priority=body.priority,
        limits=body.limits.model_dump(exclude_none=True),
        force=body.force,
        wait_for_upload=body.wait_for_upload,
    )
    record(session, caller, "job.create", job)
    return detail(session, job)


def with_files(session: Session, caller: Caller, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What is asked with the team's calibration sets taken out of it, and those sets by field.

    Raises:
        SpecError: a set is not named by a word.
        NotFound: the team has no such calibration set.
    """
    values, files = dict(asked), {}
    for field in FILES:
        name = values.get(field)
        if name is None or (field == "quantization_data" and name in SETS):
            continue
        if not isinstance(name, str) or "\0" in name or "/" in name or len(name) > 255:
            raise SpecError(f"{field} is to name a calibration set, not {str(name)[:80]!r}.", subject=field)
        files[field] = f"dataset:{_set(session, caller, field, name)}"
        del values[field]
    return values, files


def _set(session: Session, caller: Caller, field: str, name: str) -> str:
    try:
        return datasets.seen(session, caller, name).id
    except NotFound:
        known = ", ".join(SETS)
        raise NotFound(
            f"{field}: there is no calibration set {name!r}.", subject=field, remedy=f"Upload it, or take {known}."
        ) from None
