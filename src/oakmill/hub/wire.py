"""What the hub answers, one shape for each kind of row: written by the hub, read by the client.

A client reads hubs of other ages: a field that a newer one adds is left aside, one that an older lacks has its
default, a state that it does not know stays a word. So this module loads without the hub's web and database libraries.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from oakmill import errors
from oakmill.errors import Conflict, OakmillError, ToolFailed
from oakmill.jobs.states import LIVE, JobStatus
from oakmill.registry.states import InstanceStatus, Origin, Role, Visibility
from oakmill.spec.bundle import FromBundle
from oakmill.spec.imported import Imported
from oakmill.storage.states import UploadStatus

T = TypeVar("T")


class Answer(BaseModel):
    """Plain data that does not change, read from a row or from JSON. All fields are in what a hub sends."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        from_attributes=True,
        protected_namespaces=(),
        json_schema_serialization_defaults_required=True,
    )


class Listed(Answer, Generic[T]):
    """A page of a list."""

    items: tuple[T, ...]
    next_cursor: str | None = Field(None, description="Where the next page begins; null at the end.")


class Team(Answer):
    """A team, and what it stores, in bytes."""

    id: str
    name: str
    slug: str
    quota_bytes: int | None = None
    used_bytes: int = 0


class Me(Answer):
    """Who asks: the key, and its team."""

    key_id: str | None
    key_name: str
    scopes: tuple[str, ...]
    model_id: str | None = Field(None, description="The one model that the key is for.")
    user_id: str | None = Field(None, description="The user whose own key it is; none for a team's.")
    user_name: str = ""
    team: Team


class Model(Answer):
    """A model, without its card."""

    id: str
    team_id: str = ""
    team: str = Field(description="The team's slug.")
    name: str
    slug: str
    visibility: Visibility | str
    summary: str = ""
    license: str = "undefined"
    architecture: str | None = None
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    links: tuple[dict[str, str], ...] = ()
    is_yolo: bool = False
    downloads: int = 0
    created: datetime
    updated: datetime
    variants: int = 0
    versions: int = 0
    instances: int = 0
    available: tuple[str, ...] = Field((), description="Types of which an instance can be used.")


class ModelDetail(Model):
    """A model with its card, in Markdown."""

    card: str = ""


class Variant(Answer):
    """A resolution or flavour of a model."""

    id: str
    model_id: str
    name: str
    slug: str
    created: datetime | None = None
    updated: datetime | None = None


class Version(Answer):
    """A variant's weights."""

    id: str
    model_id: str
    variant_id: str
    variant: str = Field(description="The variant's name.")
    variant_slug: str
    version: str
    visibility: Visibility | str = Visibility.TEAM
    changelog: str = ""
    repository_url: str | None = None
    commit_hash: str | None = None
    domain: str | None = None
    tags: tuple[str, ...] = ()
    created: datetime
    updated: datetime | None = None


class File(Answer):
    """A file of an instance; `GET .../files` gives links to them."""

    id: str
    name: str
    role: Role | str
    sha256: str
    size: int


class FileLink(File):
    """A file, and where its bytes are until `expires`."""

    url: str
    expires: datetime


class Instance(Answer):
    """One model file for one platform, uploaded or converted."""

    id: str
    team_id: str = ""
    model_id: str
    variant_id: str
    version_id: str
    parent_id: str | None = Field(None, description="What it was converted from.")
    job_id: str | None = None
    name: str
    slug: str
    description: str | None = None
    origin: Origin | str
    status: InstanceStatus | str
    visibility: Visibility | str = Visibility.TEAM
    model_type: str
    is_nn_archive: bool = False
    precision: str | None = None
    tool_version: str | None = None
    input_shape: tuple[tuple[int | str | None, ...], ...] = ()
    quantization_data: str | None = None
    sha256: str | None = None
    size: int | None = None
    verdict: str | None = Field(None, description="The accuracy passport's, in a word.")
    facts: dict[str, Any] = Field(
        {}, description="What inspecting or converting the file has found; `cost` is what one run costs."
    )
    imported: Imported | None = Field(None, description="Where a source was fetched from, if it was.")
    parameters: dict[str, Any] = Field({}, description="The effective parameters of its conversion.")
    tags: tuple[str, ...] = ()
    yolo_version: str | None = None
    downloads: int = 0
    created: datetime
    updated: datetime | None = None
    from_bundle: FromBundle | None = Field(None, description="The bundle of another hub's that it came in.")
    files: tuple[File, ...] = ()


class Upload(Answer):
    """An upload, and how far it has come."""

    id: str
    name: str
    size: int | None = None
    offset: int
    status: UploadStatus | str
    error: str | None = None
    sha256: str | None = None
    purpose: dict[str, Any] = {}
    expires: datetime | None = None


class Completed(Answer):
    """What became of an upload."""

    upload_id: str
    sha256: str
    size: int
    instance_id: str | None = None
    status: str | None = Field(None, description="How the instance, or the job, stands now.")
    missing: tuple[str, ...] = Field((), description="Files that the model still needs.")
    dataset_id: str | None = None
    reference: str | None = Field(None, description="What a conversion's parameter calls the file.")
    images: int | None = Field(None, description="How many images a zip of them holds.")
    notes: tuple[str, ...] = Field((), description="What stands in these images' way, a sentence each.")
    job_id: str | None = None


class Line(Answer):
    """A line of a job's log; `kind` is log, note, warning, started, finished or error."""

    number: int
    at: datetime
    attempt: int = 1
    stage: str = ""
    kind: str = "log"
    text: str = ""


class Job(Answer):
    """A job. `position`, `wait` and `run` are expected, and null where nothing is known."""

    id: str
    number: int
    kind: str = "convert"
    name: str
    status: JobStatus | str
    model_id: str | None = None
    source_id: str | None = None
    result_id: str | None = None
    platform: str | None = None
    spec: dict[str, Any] = {}
    priority: int = 0
    attempt: int = 0
    max_attempts: int = 2
    cancel_requested: bool = False
    limits: dict[str, int] = {}
    progress: dict[str, Any] = {}
    stages: tuple[dict[str, Any], ...] = ()
    queued: datetime
    started: datetime | None = None
    finished: datetime | None = None
    error: str | None = None
    failure: dict[str, Any] | None = Field(None, description="What failed, where, and what to change.")
    result: dict[str, Any] | None = None
    retry_of: str | None = None
    answered_by: str | None = Field(None, description="The earlier job that made the same.")
    position: int | None = Field(None, description="Place in the queue, from 1.")
    wait: float | None = Field(None, description="Seconds until it begins.")
    run: float | None = Field(None, description="Seconds from then, or from now, to its end.")
    fraction: float | None = Field(None, description="How much of it is done, by its time.")

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
        if self.status == JobStatus.SUCCEEDED:
            return
        if self.status != JobStatus.FAILED:
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
    """A calibration set of the team's own."""

    id: str
    name: str
    slug: str
    sha256: str
    size: int
    count: int
    verdict: str | None = Field(None, description="The doctor's: ok, warning or error.")
    created: datetime


class DatasetDetail(Dataset):
    """A calibration set with all that the doctor says."""

    doctor: dict[str, Any] = {}
    left_out: int = Field(0, description="Files of the zip that cannot calibrate.")
    thumbnails: int = Field(0, description="How many there are: GET .../thumbnails/0 and on.")


class Key(Answer):
    """A key, by what is known of it; the key itself is told once, when it is made."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    model_id: str | None = None
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None
    user_id: str | None = Field(None, description="Whose own it is; none for the team's.")
    origin: str = Field("made", description="How it came: made, sign-in, login, exchange.")
    requests_per_minute: int | None = Field(None, description="What it may make; null is as the hub has it.")
    most_running: int | None = Field(None, description="How many of its jobs run at once; null is as its team has it.")


class Webhook(Answer):
    """An address that a team's events are told to; its secret is told once, when it is made."""

    id: str
    url: str
    events: tuple[str, ...]
    created: datetime
    old_until: datetime | None = Field(None, description="Until then the secret of before signs too.")


class NewWebhook(Webhook):
    """A webhook with its secret, this once."""

    secret: str = Field(description="whsec_..., as standardwebhooks.com describes it.")


class Delivery(Answer):
    """A message to a webhook, and what came of the last try."""

    id: str = Field(description="What the receiver reads as webhook-id; the same at each try.")
    webhook_id: str
    event: str
    status: str = Field(description="pending, delivered or failed")
    attempt: int
    created: datetime
    due: datetime = Field(description="When it is sent next, while it is pending.")
    sent: datetime | None = None
    code: int | None = None
    error: str = ""
    answer: str = ""
    seconds: float | None = None
    body: str


class EvidenceKey(Answer):
    """What the hub's signatures are checked with."""

    public_key: str = Field(description="Ed25519, 32 bytes, in hexadecimal.")


class NewKey(Key):
    """A key with itself, this once."""

    key: str


class Import(Answer):
    """A model on its way from elsewhere into a source; where `error` is empty and it runs no more, it has come."""

    instance_id: str = Field(description="The source that it becomes.")
    is_running: bool
    what: str = ""
    done: int = Field(0, description="Of `total`, in bytes while it is fetched.")
    total: int = 0
    error: str = ""
    remedy: str = ""
