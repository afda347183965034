"""HubAI's exports: each becomes a job of ours, and its result is an instance from the start."""

from __future__ import annotations

from fastapi import Request
from sqlalchemy.orm import Session

from oakmill.calibration.datasets import SETS
from oakmill.compat.hubai import inputs, jobs, storage
from oakmill.compat.hubai.asks import ExportIn, Rvc2In, Rvc3In, Rvc4In
from oakmill.compat.wire import MODELS, STORAGE, Json, router
from oakmill.errors import NotFound, SpecError, ToolchainMissing
from oakmill.hub import jobs as services
from oakmill.hub import links, uploads, visibility
from oakmill.hub.auth import Converter, TheHub, Writing
from oakmill.hub.files import base_url
from oakmill.hub.routing import Id
from oakmill.hub.state import Hub
from oakmill.hub.uploads import ForQuantization
from oakmill.jobs import job_log
from oakmill.jobs.tables import Job
from oakmill.registry import access, instances
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance
from oakmill.registry.words import ModelType
from oakmill.spec.platforms import PLATFORMS, titles

routes = router()

_EXPORT = f"{MODELS}/modelInstances/{{instance_id}}/export"
_CUSTOM = "CUSTOM"
_ZIP = "quantization.zip"


def _add_export(kind: type[ExportIn]) -> None:
    """The route by which HubAI's client exports to a platform."""

    def export(
        instance_id: Id, body: ExportIn, session: Writing, caller: Converter, at: TheHub, legacy: bool = False
    ) -> Json:
        return _export(session, caller, at, instance_id, body, legacy)

    export.__annotations__["body"] = kind
    routes.post(f"{_EXPORT}/{kind.platform}", description=kind.__doc__)(export)


for _kind in (Rvc2In, Rvc3In, Rvc4In):
    _add_export(_kind)


@routes.post(f"{_EXPORT}/hailo")
def export_hailo(instance_id: Id, caller: Converter) -> Json:
    """Refuse: Hailo's compiler is given to its customers only."""
    raise ToolchainMissing("There is no compiler for Hailo here.", remedy=f"Convert for one of {', '.join(titles())}.")


@routes.post(f"{MODELS}/modelInstances/export/{{job_id}}/upload_quantization_zip")
def announce_zip(job_id: Id, request: Request, session: Writing, caller: Converter, at: TheHub) -> Json:
    """Where the zip of images is to be put that an export with CUSTOM waits for, where it quantizes at all."""
    job = visibility.changeable_job(session, caller, job_id)
    upload_id = storage.UNUSED
    if PLATFORMS[str(job.platform)].quantizes:
        purpose = ForQuantization(kind="quantization", job_id=job_id)
        upload_id = uploads.announce(session, caller, at, purpose, name=_ZIP).id
    token = links.sign(at.secret, storage.PURPOSE, {"upload": upload_id}, seconds=at.settings.link_seconds)
    return {"upload_url": f"{base_url(at, request)}{STORAGE}/quantization/{token}"}


def _export(session: Session, caller: Caller, at: Hub, instance_id: str, body: ExportIn, legacy: bool) -> Json:
    source = access.changeable(session, caller, Instance, instance_id)
    _require_checkpoint(body, source)
    values = body.values(legacy=legacy)
    values["inputs"] = inputs.translate(body.inputs or [], source, is_yolo=body.version is not None)
    images = None if body.unused else body.quantization_data
    waits = (images or "").upper() == _CUSTOM
    if not waits:
        values["quantization_data"] = _calibration_set(images)
    try:
        spec, files = services.parse(session, caller, body.platform, values)
    except NotFound:
        raise _no_set(images) from None
    job = services.convert(
        session, caller, at, source, spec, files=files, instance_name=body.name, wait_for_upload=waits
    )
    _note(session, job, source, body, waits=waits)
    _tell_unused(session, job, body)
    return jobs.shape(session, at, job)


def _require_checkpoint(body: ExportIn, source: Instance) -> None:
    """Which YOLO it is applies to a .pt alone: other files carry their outputs."""
    if body.version is not None and source.model_type != ModelType.PYTORCH:
        raise SpecError(
            f"version: {body.version} is said of a {source.model_type} file; it is for .pt files.",
            subject="version",
            remedy="Omit yolo_version.",
        )


def _calibration_set(name: str | None) -> str | None:
    """Ours of that name, which HubAI writes large, or a set of the team's own as it is."""
    return name.lower() if name is not None and name.lower() in SETS else name


def _no_set(name: str | None) -> SpecError:
    known = ", ".join(item.upper() for item in SETS)
    return SpecError(
        f"There is no calibration set {name!r}.",
        subject="quantization_data",
        remedy=f"Take one of {known}, a set of the team's own by its identifier (aid_...), or a zip.",
    )


def _tell_unused(session: Session, job: Job, body: ExportIn) -> None:
    """In the job's log, which is still empty where the job is new."""
    why = f"{str(job.platform).upper()} quantizes nothing"
    told = [job_log.Line(f"{name}: {why}", kind="note") for name in body.unused]
    if told and not job_log.last_number(session, job.id):
        job_log.append(session, job.id, 0, told)


def _note(session: Session, job: Job, source: Instance, body: ExportIn, *, waits: bool) -> None:
    """What HubAI notes with its instances."""
    result = session.get_one(Instance, job.result_id)
    if waits:
        instances.update(session, result, quantization_data=_CUSTOM)
    if body.version is not None:
        for row in (source, result):
            instances.update(session, row, yolo_version=body.version)
