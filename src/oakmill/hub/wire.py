"""What the API answers about the registry: one shape for each kind of row."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from oakmill.registry.models import Counts
from oakmill.registry.pages import LARGEST
from oakmill.registry.tables import Instance, InstanceStatus, Model, Origin, Role, Variant, Version, Visibility

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=LARGEST, description="Rows on the page.")]
Cursor = Annotated[
    str | None, Query(max_length=2000, description="`next_cursor` of the page before; none for the first page.")
]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class Body(BaseModel):
    """What a client sends; what is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """What the hub answers, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Where the next page begins; null at the end.")


class TeamOut(Answer):
    """A team."""

    id: str
    name: str
    slug: str
    quota_bytes: int | None
    used_bytes: int = 0


class Me(BaseModel):
    """Who asks."""

    key_id: str | None
    key_name: str
    scopes: list[str]
    model_id: str | None = Field(description="The one model that the key is for.")
    team: TeamOut


class ModelOut(Answer):
    """A model, without its card."""

    id: str
    team_id: str
    team: str = Field(description="The team's slug.")
    name: str
    slug: str
    visibility: Visibility
    summary: str
    license: str
    architecture: str | None
    tasks: list[str]
    tags: list[str]
    links: list[dict[str, str]]
    is_yolo: bool
    downloads: int
    created: datetime
    updated: datetime
    variants: int = 0
    versions: int = 0
    instances: int = 0
    available: list[str] = Field(default_factory=list, description="Types of which an instance can be used.")

    @classmethod
    def of(cls, row: Model, counts: Counts) -> ModelOut:
        """A row with what stands below it."""
        return cls(**_model(row), **_counts(counts))


class ModelDetail(ModelOut):
    """A model with its card, in Markdown."""

    card: str

    @classmethod
    def of(cls, row: Model, counts: Counts) -> ModelDetail:
        """A row with what stands below it."""
        return cls(**_model(row), **_counts(counts), card=row.card)


def _model(row: Model) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in _MODEL if name != "team"}
    return own | {"team": row.team.slug}


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "variants": counts.variants,
        "versions": counts.versions,
        "instances": sum(counts.instances.values()),
        "available": counts.available,
    }


_MODEL = tuple(name for name in ModelOut.model_fields if name not in {"variants", "versions", "instances", "available"})


class VariantOut(Answer):
    """A resolution or flavour of a model."""

    id: str
    model_id: str
    name: str
    slug: str
    created: datetime
    updated: datetime

    @classmethod
    def of(cls, row: Variant) -> VariantOut:
        """A row."""
        return cls.model_validate(row)


class VersionOut(Answer):
    """A variant's weights."""

    id: str
    model_id: str
    variant_id: str
    variant: str = Field(description="The variant's name.")
    variant_slug: str
    version: str
    visibility: Visibility
    changelog: str
    repository_url: str | None
    commit_hash: str | None
    domain: str | None
    tags: list[str]
    created: datetime
    updated: datetime

    @classmethod
    def of(cls, row: Version) -> VersionOut:
        """A row that came with its variant."""
        own = {name: getattr(row, name) for name in cls.model_fields if name not in {"variant", "variant_slug"}}
        return cls(**own, variant=row.variant.name, variant_slug=row.variant.slug)


class FileOut(Answer):
    """A file of an instance; `GET .../files` gives links to them."""

    id: str
    name: str
    role: Role
    sha256: str
    size: int


class FileLink(FileOut):
    """A file, and where its bytes are for a while."""

    url: str
    expires: datetime


class InstanceOut(Answer):
    """One file for one platform, uploaded or converted."""

    id: str
    team_id: str
    model_id: str
    variant_id: str
    version_id: str
    parent_id: str | None = Field(description="What it was converted from.")
    job_id: str | None
    name: str
    slug: str
    description: str | None
    origin: Origin
    status: InstanceStatus
    visibility: Visibility
    model_type: str
    is_nn_archive: bool
    precision: str | None
    tool_version: str | None
    input_shape: list[list[int | str | None]]
    quantization_data: str | None
    sha256: str | None
    size: int | None
    verdict: str | None = Field(description="The accuracy passport's, in a word.")
    facts: dict[str, Any] = Field(description="What inspecting the file has found.")
    parameters: dict[str, Any] = Field(description="The effective parameters of its conversion.")
    tags: list[str]
    yolo_version: str | None
    downloads: int
    created: datetime
    updated: datetime
    files: list[FileOut]

    @classmethod
    def of(cls, row: Instance) -> InstanceOut:
        """A row that came with its files."""
        return cls.model_validate(row)


class ModelIn(Body):
    """A new model."""

    name: Text
    visibility: Visibility = Visibility.TEAM
    summary: str = Field("", max_length=255)
    card: str = Field("", max_length=200_000, description="Markdown.")
    license: str = Field("undefined", max_length=64)
    architecture: str | None = Field(None, max_length=255)
    tasks: list[str] = Field(default_factory=list, max_length=32)
    tags: Tags = Field(default_factory=list)
    links: list[dict[str, str]] = Field(default_factory=list, max_length=32, description='{"name": ..., "link": ...}')
    is_yolo: bool = False


class ModelChanges(Body):
    """What is to change of a model; what is left out stays."""

    name: Text | None = None
    visibility: Visibility | None = None
    summary: str | None = Field(None, max_length=255)
    card: str | None = Field(None, max_length=200_000)
    license: str | None = Field(None, max_length=64)
    architecture: str | None = Field(None, max_length=255)
    tasks: list[str] | None = Field(None, max_length=32)
    tags: Tags | None = None
    links: list[dict[str, str]] | None = Field(None, max_length=32)
    is_yolo: bool | None = None


class VersionChanges(Body):
    """What is to change of a version; what is left out stays."""

    changelog: str | None = Field(None, max_length=200_000)
    repository_url: Annotated[str, Field(max_length=2000, pattern=r"^https?://")] | None = None
    commit_hash: Annotated[str, Field(max_length=64, pattern=r"^[0-9a-fA-F]+$")] | None = None
    domain: str | None = Field(None, max_length=32)
    tags: Tags | None = None


class VersionIn(VersionChanges):
    """A new version of the variant of that name, which is made where there is none."""

    variant: Text
    version: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(None, description="By default the next.")


class InstanceIn(Body):
    """A new source instance; its files are uploaded next."""

    version_id: str = Field(max_length=64)
    name: Text
    model_type: str = Field("ONNX", max_length=16, description="ONNX, IR or TFLITE; what the file is decides.")
    description: str | None = Field(None, max_length=255)
    tags: Tags = Field(default_factory=list)


class InstanceChanges(Body):
    """What is to change of an instance; what is left out stays."""

    description: str | None = Field(None, max_length=255)
    tags: Tags | None = None


def stated(body: BaseModel, *without: str) -> dict[str, Any]:
    """The values that a client has given, as the registry takes them."""
    values = body.model_dump(exclude_unset=True, exclude=set(without))
    nullable = ("architecture", "repository_url", "commit_hash", "domain", "description")
    return {name: value for name, value in values.items() if value is not None or name in nullable}
