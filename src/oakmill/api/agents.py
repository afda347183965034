"""Agents over HTTP: machines with cameras claim what is to be proved or timed on one, and tell how it goes and ends."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Header, Path, Request, Response
from pydantic import AfterValidator, Field

from oakmill import errors
from oakmill.api import answers
from oakmill.api.bodies import Body
from oakmill.api.jobs import Priority
from oakmill.devices import Benchmark, Identity
from oakmill.errors import DeviceError, OakmillError
from oakmill.hub import agents, files, measurements
from oakmill.hub.auth import Converter, Reader, Reading, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Job, Listed
from oakmill.hub.wire_agents import Agent, Camera, Claimed, Standing
from oakmill.jobs import agents as roster
from oakmill.jobs.on_camera import Measurement
from oakmill.jobs.told import Line, storable
from oakmill.moments import Moment

routes = router("agents")

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"
Name = Annotated[str, Path(pattern=NAME, description="What the agent calls itself.")]
Token = Annotated[str, Field(max_length=64, description="With which the job was claimed.")]
Short = Annotated[str, Field(max_length=255)]
Number = Annotated[float, Field(ge=0, le=measurements.LARGEST_NUMBER, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0, lt=2**31)]
Said = Annotated[str, AfterValidator(storable)]
"""Words of a camera's, which are told as well as a database takes them."""


class MeasurementIn(Body):
    """What is to be measured on a camera."""

    kind: Literal["prove", "benchmark"] = Field(description="prove measures as the passport does, and the speed too.")
    images: Short | None = Field(
        None, description="A calibration set of the team's, for a proof. By default those that the conversion kept."
    )
    how: Measurement = Measurement()
    priority: Priority = 0


class CameraIn(Body):
    """A camera at the agent's machine."""

    identifier: Short = ""
    name: Short = ""
    platform: Annotated[str, Field(max_length=8)] = ""
    product: Short = ""
    firmware: Short = ""
    state: Annotated[str, Field(max_length=40)] = ""
    problem: Annotated[str, Field(max_length=1000)] = ""


class AgentIn(Body):
    """An agent that asks for a job."""

    machine: Short
    version: Annotated[str, Field(max_length=32)] = ""
    cameras: Annotated[tuple[CameraIn, ...], Field(max_length=16)] = ()


class StageIn(Body):
    """A stage of the job, as far as it has come."""

    name: Annotated[str, Field(pattern=r"^[a-z]{1,16}$")]
    status: Literal["running", "done", "failed"]
    seconds: Number = 0
    phases: Annotated[tuple[tuple[Number, Number], ...], Field(max_length=40)] = ()


class ProgressIn(Body):
    """Where in its stage the job is."""

    stage: Annotated[str, Field(pattern=r"^[a-z]{1,16}$")]
    text: Annotated[str, Field(max_length=300)] = ""
    done: Whole = 0
    total: Whole = 0
    unit: Annotated[str, Field(max_length=16)] = ""


class LineIn(Body):
    """A line of the job's log."""

    text: Annotated[str, Field(max_length=4000)]
    stage: Annotated[str, Field(max_length=16)] = ""
    kind: Literal["log", "note", "warning", "started", "finished", "error"] = "log"
    at: Moment


class WordIn(Body):
    """What an agent tells of the job that it holds."""

    token: Token
    agent: Annotated[str, Field(pattern=NAME)]
    stages: Annotated[tuple[StageIn, ...], Field(max_length=20)] = ()
    progress: ProgressIn | None = None
    lines: Annotated[tuple[LineIn, ...], Field(max_length=500)] = ()


class Release(Body):
    """A job that is given back."""

    token: Token


class DeviceIn(Body):
    """The camera that was opened."""

    product: Short
    platform: Annotated[str, Field(max_length=8)]
    identifier: Short
    firmware: Short


class BenchmarkIn(Body):
    """What a benchmark measured."""

    device: DeviceIn
    fps: Number
    latency_ms: Number
    latency_p95_ms: Number
    frames: Whole
    seconds: Number
    method: Short


class FailureIn(Body):
    """What a job failed with: an error of Oakmill's, by name."""

    stage: Annotated[Said, Field(max_length=16)] = ""
    code: Annotated[str, Field(pattern=r"^[A-Za-z]{1,64}$")]
    message: Annotated[Said, Field(min_length=1, max_length=4000)]
    remedy: Annotated[Said, Field(max_length=2000)] = ""
    subject: Annotated[Said, Field(max_length=1000)] = ""
    log: Annotated[Said, Field(max_length=100_000)] = ""


class End(Body):
    """How a job ended: with a benchmark's figures, with what went wrong, or, with neither, as it was cancelled.

    A proof succeeds by the upload of its passport, whose purpose is `proof`.
    """

    token: Token
    benchmark: BenchmarkIn | None = None
    failure: FailureIn | None = None


def _error(failure: FailureIn) -> OakmillError:
    """What was raised elsewhere, under its name there where it is one of ours."""
    found = getattr(errors, failure.code, None)
    kind = found if isinstance(found, type) and issubclass(found, OakmillError) else DeviceError
    return kind(failure.message, remedy=failure.remedy, subject=failure.subject, log=failure.log)


@routes.post("/instances/{instance_id}/measurements", status_code=201)
def measure(instance_id: Id, body: MeasurementIn, session: Writing, caller: Converter) -> Job:
    """Have a result for RVC2 or RVC4 proved or timed on a camera, by an agent of the team that has one."""
    job = measurements.ask(
        session, caller, instance_id, body.kind, body.how, images=body.images, priority=body.priority
    )
    return answers.job(session, job)


@routes.get("/agents")
def list_agents(session: Reading, caller: Reader) -> Listed[Agent]:
    """The team's agents that were heard of in the last hour, with their cameras."""
    return Listed(items=tuple(agents.listed(session, caller)))


@routes.post("/agents/{name}/claim")
def claim(name: Name, body: AgentIn, session: Writing, caller: Converter, at: TheHub) -> Claimed | None:
    """Say which cameras there are, and take the next job for one of them; null when there is none."""
    cameras = [Camera.model_validate(camera.model_dump()) for camera in body.cameras]
    return agents.claim(session, caller, at, agents.Asking(name, body.machine, body.version, cameras))


@routes.delete("/agents/{name}", status_code=204)
def leave(name: Name, session: Writing, caller: Converter) -> None:
    """Say that the agent ends."""
    roster.leave(session, caller.own_team(), name)


@routes.post("/jobs/{job_id}/word")
def tell(job_id: Id, body: WordIn, session: Writing, caller: Converter, at: TheHub) -> Standing:
    """Extend the lease of a job that is held, and tell how it goes; what is told for a lost lease is not written."""
    word = agents.Word(
        [stage.model_dump(exclude_defaults=True) | {"seconds": stage.seconds} for stage in body.stages],
        _progress(body.progress),
        [Line(line.text, line.stage, line.kind, line.at) for line in body.lines],
    )
    state = agents.tell(session, caller, at, job_id, token=body.token, agent=body.agent, word=word)
    return Standing(state=state)


def _progress(found: ProgressIn | None) -> dict[str, Any]:
    """As a job's row has it; a unit only where there is one."""
    return found.model_dump(exclude=set() if found.unit else {"unit"}) if found else {}


@routes.get("/jobs/{job_id}/images", response_class=Response)
def get_images(
    job_id: Id,
    request: Request,
    session: Reading,
    caller: Converter,
    at: TheHub,
    job_token: Annotated[str, Header(max_length=64)] = "",
) -> Response:
    """The images of a job that is held by `Job-Token`, whole or in part (`Range`)."""
    found = agents.images_of(session, caller, at, job_id, job_token)
    return files.send(at, request, found.sha256, found.size, found.name)


@routes.post("/jobs/{job_id}/release", status_code=204)
def release(job_id: Id, body: Release, session: Writing, caller: Converter) -> None:
    """Give a job back that is held, untried."""
    agents.give_back(session, caller, job_id, body.token)


@routes.post("/jobs/{job_id}/end", status_code=204)
def end(job_id: Id, body: End, session: Writing, caller: Converter) -> None:
    """End a job that is held."""
    if body.benchmark:
        figures = body.benchmark.model_dump(exclude={"device"})
        device = Identity(**body.benchmark.device.model_dump())
        measurements.timed(session, caller, job_id, body.token, Benchmark(device, **figures))
    elif body.failure:
        agents.failed(session, caller, job_id, body.token, _error(body.failure), body.failure.stage)
    else:
        agents.cancelled(session, caller, job_id, body.token)
