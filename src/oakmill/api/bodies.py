"""What clients may ask of the API: values that several routes take, and the bodies of the registry's requests."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from oakmill.registry.pages import LARGEST
from oakmill.registry.states import Visibility
from oakmill.spec.imported import Imported

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
    imported: Imported | None = Field(None, description="Where the client fetched it from.")


class InstanceChanges(Body):
    """What is to change of an instance; what is left out stays."""

    description: str | None = Field(None, max_length=255)
    tags: Tags | None = None


def stated(body: BaseModel, *without: str) -> dict[str, Any]:
    """The values that a client has given, as the registry takes them."""
    values = body.model_dump(exclude_unset=True, exclude=set(without))
    nullable = ("architecture", "repository_url", "commit_hash", "domain", "description")
    return {name: value for name, value in values.items() if value is not None or name in nullable}
