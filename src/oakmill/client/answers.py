"""What a hub answers, typed: a field that a newer hub adds is left aside, one that an older lacks has its default."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from oakmill import errors
from oakmill.errors import Conflict, OakmillError, ToolFailed

ModelType = Literal["ONNX", "IR", "TFLITE", "PYTORCH"]
"""What a source's file is, in HubAI's words."""
LIVE = ("waiting", "queued", "running")


class Answer(BaseModel):
    """Plain data that does not change."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Team(Answer):
    """A team, and what it stores."""

    id: str
    name: str
    slug: str
    quota_bytes: int | None = None
    used_bytes: int = 0


class Me(Answer):
    """The key that asks, and its team."""

    key_id: str | None
    key_name: str
    scopes: tuple[str, ...]
    model_id: str | None = None
    team: Team


class Model(Answer):
    """A model; `card` is there where one model was asked for."""

    id: str
    team: str
    name: str
    slug: str
    visibility: str
    summary: str = ""
    card: str = ""
    license: str = "undefined"
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    downloads: int = 0
    variants: int = 0
    versions: int = 0
    instances: int = 0
    available: tuple[str, ...] = ()
    created: datetime
    updated: datetime


class Variant(Answer):
    """A resolution or flavour of a model."""

    id: str
    model_id: str
    name: str
    slug: str


class Version(Answer):
    """A variant's weights."""

    id: str
    model_id: str
    variant_id: str
    variant: str
    variant_slug: str
    version: str
    changelog: str = ""
    created: datetime


class File(Answer):
    """A file of an instance; with `url`, a link to its bytes that works until `expires`."""

    id: str
    name: str
    role: str
    sha256: str
    size: int
    url: str | None = None
    expires: datetime | None = None


class Instance(Answer):
    """One model file for one platform, uploaded or converted."""

    id: str
    model_id: str
    variant_id: str
    version_id: str
    parent_id: str | None = None
    job_id: str | None = None
    name: str
    slug: str
    origin: str
    status: str
    model_type: str
    is_nn_archive: bool = False
    precision: str | None = None
    tool_version: str | None = None
    input_shape: tuple[tuple[int | str, ...], ...] = ()
    sha256: str | None = None
    size: int | None = None
    verdict: str | None = None
    facts: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    downloads: int = 0
    created: datetime
    files: tuple[File, ...] = ()


class Upload(Answer):
    """An upload, and how far it has come."""

    id: str
    name: str
    size: int | None = None
    offset: int
    status: str
    error: str | None = None


class Completed(Answer):
    """What became of an upload: `missing` names files that its model still needs."""

    upload_id: str
    sha256: str
    size: int
    instance_id: str | None = None
    dataset_id: str | None = None
    job_id: str | None = None
    status: str | None = None
    missing: tuple[str, ...] = ()


class Line(Answer):
    """A line of a job's log; `kind` is log, note, warning, started, finished or error."""

    number: int
    at: datetime
    attempt: int = 1
    stage: str = ""
    kind: str = "log"
    text: str = ""


class Job(Answer):
    """A job; `position`, `wait` and `run` are expected, and None where nothing is known."""

    id: str
    number: int
    name: str
    status: str
    model_id: str | None = None
    source_id: str | None = None
    result_id: str | None = None
    platform: str | None = None
    spec: dict[str, Any] = {}
    priority: int = 0
    attempt: int = 0
    progress: dict[str, Any] = {}
    stages: tuple[dict[str, Any], ...] = ()
    queued: datetime
    started: datetime | None = None
    finished: datetime | None = None
    error: str | None = None
    failure: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    retry_of: str | None = None
    answered_by: str | None = None
    position: int | None = None
    wait: float | None = None
    run: float | None = None
    fraction: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.status in LIVE

    def require_success(self) -> None:
        """Go on only where the job has succeeded.

        Raises:
            OakmillError: what the conversion failed with, under its own name.
            Conflict: it was cancelled, or has not ended.
        """
        if self.status == "succeeded":
            return
        if self.status != "failed":
            raise Conflict(f"Job {self.name} is {self.status}.", subject=self.id)
        failure = self.failure or {}
        kind = getattr(errors, str(failure.get("code")), ToolFailed)
        remedy = next((str(item.get("text", "")) for item in failure.get("remedies", ())), "")
        error: OakmillError = kind(
            str(failure.get("sentence") or self.error or f"Job {self.name} failed."),
            subject=str(failure.get("subject", "")),
            remedy=remedy,
            log="\n".join(failure.get("log", ())),
        )
        raise error


class Dataset(Answer):
    """A calibration set of the team's own; `doctor` is there where one set was asked for."""

    id: str
    name: str
    slug: str
    sha256: str
    size: int
    count: int
    verdict: str | None = None
    doctor: dict[str, Any] = {}
    created: datetime


class Key(Answer):
    """A key, by what is known of it."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    model_id: str | None = None
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None


class NewKey(Key):
    """A key with itself, this once."""

    key: str
