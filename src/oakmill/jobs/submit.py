"""Takes a conversion in: checks what was asked, answers at once what an earlier job of the team has made, else queues.

Two requests are the same when all that decides the result's bytes is the same, by content; see `identity_of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound, SpecError
from oakmill.jobs import job_log, queue, resources, tracing
from oakmill.jobs.identity import identity_of
from oakmill.jobs.kinds import CONVERT, ON_CAMERA, REBUILD
from oakmill.jobs.tables import LIVE, Job, JobStatus
from oakmill.jobs.webhooks import outbox
from oakmill.registry import instances
from oakmill.registry.identifiers import new_id
from oakmill.registry.tables import Instance, InstanceStatus, Model, Team, Variant
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, OutputFormat, QuantizingSpec, wrong
from oakmill.spec.platforms import PLATFORMS
from oakmill.storage.database import now

if TYPE_CHECKING:
    from oakmill.registry.callers import Caller

_LIMITS = ("memory_mb", "seconds", "output_mb")
_LONGEST = 150
_NAMELESS = "default"
"""What a variant is called that nobody named."""
_COPIED = (
    "precision",
    "tool_version",
    "input_shape",
    "verdict",
    "facts",
    "parameters",
    "is_nn_archive",
    "yolo_version",
)


class Options(TypedDict, total=False):
    """What may be said of a request besides its source and spec.

    `files` says by field of the spec what file is meant: "<sha256>:<name>" of bytes in the store, or
    "dataset:<id>". The hub's own code writes it, never a client. `limits` may name memory_mb, seconds, output_mb.
    `name` is what the result and its files are called, by default model, variant and platform;
    `instance_name` is another name for the result alone. `suffix` ends the name where others of the same source and
    platform are asked for beside it.
    """

    files: Mapping[str, str]
    name: str | None
    instance_name: str | None
    suffix: str
    priority: int
    limits: Mapping[str, int] | None
    wait_for_upload: bool
    retry_of: str | None
    force: bool


def parse(values: Mapping[str, Any], files: Mapping[str, str] | None = None) -> ConversionSpec:
    """The spec that a client's plain values ask for; `platform` is among them.

    Raises:
        SpecError: a value is not valid, or names a file of the machine that the hub runs on.
    """
    facts = PLATFORMS.get(str(values.get("platform", "")).lower())
    if facts is None:
        raise SpecError(
            f"There is no platform {values.get('platform')!r}.", remedy=f"Known are {', '.join(PLATFORMS)}."
        )
    named = {field: value for field, value in values.items() if value is not None}
    named.update({field: file_name(value) for field, value in (files or {}).items()})
    try:
        spec = facts.spec.model_validate({**named, "platform": facts.name})
    except ValidationError as error:
        where, words = wrong.first_of(error.errors(), "the request")
        raise SpecError(f"{where}: {words}", subject=where) from None
    require_no_paths(spec, files or {})
    return spec


def file_name(value: str) -> str:
    """The name that a spec holds in the place of a file of the hub's: never one that leads anywhere."""
    return re.sub(r"[^\w.+-]", "_", value.partition(":")[2]).lstrip(".") or "file"


def require_no_paths(spec: ConversionSpec, files: Mapping[str, str]) -> None:
    """Refuse a spec that names a file of the machine that the hub runs on.

    Raises:
        SpecError: it does; or a file is given for a field that takes none.
    """
    for field in type(spec).model_fields:
        value = getattr(spec, field)
        names_file = isinstance(value, Path) or (
            field == "quantization_data" and value is not None and not re.fullmatch(r"[\w-]+", value)
        )
        if names_file and field not in files:
            raise SpecError(
                f"{field} names a file on the hub's own machine, which a request may not.",
                subject=field,
                remedy="Upload the file; for calibration images a set's name will do as well.",
            )
    unknown = sorted(set(files) - set(file_fields(type(spec))))
    if unknown:
        raise SpecError(f"{unknown[0]} takes no file, for {spec.platform}.", subject=unknown[0])


def file_fields(kind: type[ConversionSpec]) -> Iterator[str]:
    """The parameters that name files."""
    for field, about in kind.model_fields.items():
        if field == "quantization_data" or "Path" in str(about.annotation):
            yield field


def request(
    session: Session,
    caller: Caller,
    source: Instance,
    spec: ConversionSpec,
    *,
    settings: Settings,
    **options: Unpack[Options],
) -> Job:
    """The job that converts a source instance, with its pending result; the same live request gets the same job.

    A job that an earlier one of the team answers has succeeded already: `answered_by` says which.

    Raises:
        SpecError: the spec names files of this machine, or asks for more than a job may use.
        NotFound: a calibration set is not the team's.
        Conflict: the source is not complete.
    """
    if source.status != InstanceStatus.AVAILABLE:
        raise Conflict(f"The source {source.name} is not complete.", remedy="Finish its upload first.")
    files = dict(options.get("files", {}))
    name = options.get("name") or spec.name or _default_name(session, source, spec)
    spec = _stored(spec, files, name + options.get("suffix", ""))
    limits = _allowed(options.get("limits") or {}, settings)
    queue.lock(session)
    wanted = not options.get("force") and not options.get("wait_for_upload")
    key = identity_of(session, source, spec, files, settings) if wanted else None
    same = live(session, source.team_id, key)
    if same is not None and same.source_id == source.id:
        return same
    job = Job(
        id=new_id("aij"),
        kind=REBUILD if options.get("force") else CONVERT,
        name=options.get("instance_name") or str(spec.name),
        team_id=source.team_id,
        key_id=caller.key_id,
        key=None if same else key,  # another model's job makes the same now; this one finds it in the team's cache
        model_id=source.model_id,
        source_id=source.id,
        platform=spec.platform,
        spec=spec.model_dump(mode="json", exclude_unset=True) | {"platform": spec.platform},
        files=files,
        status=JobStatus.WAITING if options.get("wait_for_upload") else JobStatus.QUEUED,
        priority=options.get("priority", 0),
        memory_mb=limits.get("memory_mb", 0),
        deadline_seconds=limits.get("seconds"),
        limits=limits,
        retry_of=options.get("retry_of"),
    )
    _queue(session, caller, job, source, spec)
    tracing.note(settings, "job.id", job.id)
    return job


def _default_name(session: Session, source: Instance, spec: ConversionSpec) -> str:
    """As HubAI calls its archives, by model and variant; short enough for a file's name in any alphabet."""
    model, slug = session.get_one(Model, source.model_id).slug, session.get_one(Variant, source.variant_id).slug
    slug = slug if slug.startswith(model) else model if slug == _NAMELESS else f"{model}-{slug}"
    return f"{slug.encode()[:_LONGEST].decode(errors='ignore')}.{spec.platform}"


def _queue(session: Session, caller: Caller, job: Job, source: Instance, spec: ConversionSpec) -> None:
    """Add the job and its result, which is there already where an earlier job made the same."""
    queue.add(session, job)
    quantizing = spec if isinstance(spec, QuantizingSpec) else None
    result = instances.create(
        session,
        caller,
        source.version_id,
        name=job.name,
        model_type=spec.platform.upper(),
        parent_id=source.id,
        job_id=job.id,
        is_nn_archive=spec.output_format is OutputFormat.NN_ARCHIVE,
        precision=quantizing.target_precision.value if quantizing else None,
        quantization_data=quantizing.quantization_data if quantizing else None,
        parameters=spec.model_dump(mode="json"),
    )
    job.result_id = result.id
    if job.key and job.status == JobStatus.QUEUED:
        _answer(session, job, result)
    session.flush()


def _answer(session: Session, job: Job, result: Instance) -> None:
    """End the job at once with what an earlier one of the team made, if one did."""
    wanted = select(Job, Instance).join(Instance, Instance.id == Job.result_id)
    wanted = wanted.where(Job.team_id == job.team_id, Job.key == job.key, Job.status == JobStatus.SUCCEEDED)
    wanted = wanted.where(Instance.status == InstanceStatus.AVAILABLE, Instance.trash_id.is_(None))
    found = session.execute(wanted.order_by(Job.number.desc()).limit(1)).first()
    if found is None:
        return
    earlier, made = found
    for file in instances.files_of(session, made):
        instances.add_file(session, result, name=file.name, sha256=file.sha256, size=file.size, role=file.role)
    for field in _COPIED:
        setattr(result, field, getattr(made, field))
    instances.set_available(session, result)
    job.status, job.answered_by, job.result = JobStatus.SUCCEEDED, earlier.answered_by or earlier.id, earlier.result
    job.started = job.finished = now()
    session.flush()
    outbox.ended(session, [job.id])
    outbox.flagged(session, result)
    told = f"the same was asked before: answered by job {earlier.number}"
    job_log.append(session, job.id, 0, [job_log.Line(told, kind="note")])


def live(session: Session, team_id: str, key: str | None) -> Job | None:
    """The team's job of that key that has not ended."""
    if key is None:
        return None
    return session.scalars(select(Job).where(Job.team_id == team_id, Job.key == key, Job.status.in_(LIVE))).first()


def _stored(spec: ConversionSpec, files: Mapping[str, str], name: str | None) -> ConversionSpec:
    """The spec as the job keeps it: checked, and with bare names in the place of files.

    Raises:
        SpecError: it names a file of this machine.
    """
    require_no_paths(spec, files)
    named: dict[str, Any] = {field: file_name(value) for field, value in files.items()}
    if name:
        named["name"] = name
    return type(spec).model_validate({**spec.model_dump(mode="json", exclude_unset=True), **named})


def _allowed(limits: Mapping[str, int], settings: Settings) -> dict[str, int]:
    """The limits asked for: a request may lower what the operator set, not raise it.

    Raises:
        SpecError: it asks for more, for nothing, or for a limit that is not known.
    """
    here = 0 if settings.database else resources.job_memory_mb(settings)
    highest = {
        "memory_mb": settings.job_memory_mb or here,
        "seconds": settings.job_seconds,
        "output_mb": settings.tool_output_mb,
    }
    for name, value in limits.items():
        if name not in _LIMITS or value < 1:
            raise SpecError(f"There is no limit {name}={value}.", remedy=f"Known are {', '.join(_LIMITS)}; from 1 on.")
        if value > highest[name] > 0:
            raise SpecError(f"A job of this hub may use {name}={highest[name]} at most, not {value}.", subject=name)
    return dict(limits)


def release_waiting(session: Session, job_id: str, files: Mapping[str, str], *, settings: Settings) -> Job:
    """Queue a job that waited for an upload; where the same is made or being made, it ends or stands without a key.

    Raises:
        NotFound: there is no such job.
        Conflict: it waits no more.
    """
    job = _job(session, job_id, JobStatus.WAITING, "waits for no upload")
    source, result = session.get_one(Instance, job.source_id), session.get_one(Instance, job.result_id)
    job.files = {**job.files, **files}
    spec = _stored(spec_of(job), job.files, None)
    job.spec = spec.model_dump(mode="json", exclude_unset=True) | {"platform": spec.platform}
    queue.lock(session)
    key = identity_of(session, source, spec, job.files, settings) if job.kind == CONVERT else None
    job.key = None if live(session, job.team_id, key) else key
    job.status = JobStatus.QUEUED
    if job.key:
        _answer(session, job, result)
    session.flush()
    queue.changed(session, job.id)
    return job


def require_ended(job: Job) -> None:
    """Go on only with a job that has ended.

    Raises:
        Conflict: it has not.
    """
    if job.status in LIVE:
        raise Conflict(f"Job {job.name} has not ended.", subject=job.id, remedy="Cancel it first, or wait.")


def priority_again(session: Session, job: Job) -> int:
    """The priority that a job may have when it is asked for again."""
    return min(job.priority, session.get_one(Team, job.team_id).highest_priority)


def again(
    session: Session,
    caller: Caller,
    job: Job,
    *,
    settings: Settings,
    spec: ConversionSpec | None = None,
    files: Mapping[str, str] | None = None,
    anew: bool = False,
) -> Job:
    """Ask for an ended job again, as it was or with another spec; the new job says of which it is a retry.

    `files` are those of the other spec; by default those of the job that it has not named otherwise. With `anew`
    nothing is taken from the cache.

    Raises:
        Conflict: it has not ended, or its source is gone.
        SpecError, NotFound: as `request`.
    """
    require_ended(job)
    source = session.get(Instance, job.source_id) if job.source_id else None
    if source is None or source.trash_id is not None:
        raise Conflict(f"The source of job {job.name} was deleted.", subject=job.id, remedy="Upload it again.")
    wanted = spec or spec_of(job)
    if files is None:
        files = {name: value for name, value in job.files.items() if getattr(wanted, name, None) == _placed(job, name)}
    return request(
        session,
        caller,
        source,
        wanted,
        settings=settings,
        files=files,
        priority=priority_again(session, job),
        limits=job.limits,
        retry_of=job.id,
        force=anew or job.kind == REBUILD,
    )


def _placed(job: Job, field: str) -> Any:
    return getattr(spec_of(job), field, None)


def spec_of(job: Job) -> ConversionSpec:
    """What a conversion was asked to do; files stand in it by their bare names.

    Raises:
        Conflict: the job is none.
    """
    if job.kind in ON_CAMERA:
        said = f"Job {job.name} is no conversion, and has no parameters."
        raise Conflict(said, subject=job.id, remedy="Ask for another measurement of its file.")
    return PLATFORMS[str(job.platform)].spec.model_validate(job.spec)


def _job(session: Session, job_id: str, status: JobStatus, otherwise: str) -> Job:
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", subject=job_id)
    if job.status != status:
        raise Conflict(f"Job {job.name} {otherwise}.", subject=job_id)
    return job
