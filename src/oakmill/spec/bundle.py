"""What a bundle of models says that it holds: models with all below them, and the sha256 and size of each file.

A bundle is a zip that packs nothing: this manifest first, then the files, each under its sha256. `bundle_file.py`
reads one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from oakmill.moments import Moment
from oakmill.spec.imported import Imported

ENDING = ".oakbundle"
FORMAT: Literal["oakmill-bundle"] = "oakmill-bundle"
VERSION: Literal[1] = 1
MANIFEST = "manifest.json"
FILES = "files/"
LARGEST_MANIFEST = 16 << 20
LARGEST_MODEL, LARGEST_BUNDLE = 5_000, 20_000
"""Parts of a model, and of all: versions, aliases, instances and files. All of a model come in at once, and as long as
that takes a hub on SQLite writes nothing else."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0, lt=1 << 63)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
_Text = Annotated[str, Field(max_length=255)]
_Word = Annotated[str, Field(max_length=64)]
_Figure = Annotated[float, Field(ge=0, le=1e9)]  # 1e999 is a number to JSON, and none to a database
_Long = Annotated[str, Field(max_length=200_000)]
_Tags = Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=100)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

FileRole = Literal["model", "part", "passport", "passport_page", "recipe", "measured", "measured_page", "face"]


class _Part(BaseModel):
    """Plain data as it was written; what this version does not know is no bundle of its form."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class BundledFile(_Part):
    """A file of an instance: its name for people, what it is, and its bytes by their sha256."""

    name: Name
    role: FileRole
    sha256: Sha256
    size: Size


class _Measurement(_Part):
    """What a camera measured: on which device, and when, in words."""

    device: Annotated[dict[_Word, _Text], Field(max_length=20)]
    when: _Word


class BundledSpeed(_Measurement):
    """How fast a camera ran a file; times are in milliseconds."""

    fps: _Figure
    latency_ms: _Figure
    latency_p95_ms: _Figure | None = None
    frames: Annotated[int, Field(ge=0)] = 0
    method: _Text = ""


class BundledNumber(_Part):
    """The number that stands for a proof: what it is, as people read it, by which method, on how many images."""

    key: _Text = ""
    words: _Text
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    text: _Text
    method: _Text
    images: Annotated[int, Field(ge=0)] = 0
    unit: _Text = "%"
    float_value: Annotated[float, Field(allow_inf_nan=False)] | None = None


class BundledProof(_Measurement):
    """What a camera made of the passport's images, as lists show it."""

    verdict: Literal["ok", "note", "warning", "error"]
    reasons: Annotated[tuple[_Text, ...], Field(max_length=100)] = ()
    images: Annotated[int, Field(ge=0)] = 0
    sha256: Sha256
    accuracy: BundledNumber | None = None


class BundledInstance(_Part):
    """An uploaded or converted file. `id` and `parent` are identifiers of the hub that made the bundle.

    What a hub finds by looking at the files is not in here: it looks again. `heads` are what a result's outputs are,
    as its conversion has written them.
    """

    id: _Id
    parent: _Id | None = None
    name: Name
    description: _Text | None = None
    origin: Literal["source", "converted"]
    model_type: Annotated[str, Field(max_length=16)]
    precision: Annotated[str, Field(max_length=40)] | None = None
    tool_version: _Word | None = None
    quantization_data: _Text | None = Field(None, description="Name of the calibration set.")
    heads: Annotated[tuple[dict[str, Any], ...], Field(max_length=1000)] = ()
    tags: _Tags = ()
    yolo_version: Annotated[str, Field(max_length=32)] | None = None
    imported: Imported | None = Field(None, description="Where a source was fetched from, if it was.")
    speed: BundledSpeed | None = None
    proof: BundledProof | None = None
    created: Moment
    files: Annotated[tuple[BundledFile, ...], Field(min_length=1, max_length=10_000)]

    @property
    def model(self) -> BundledFile:
        """The file that is downloaded."""
        return next(file for file in self.files if file.role == "model")


class BundledVersion(_Part):
    """A variant's weights, with the aliases that point to them."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    changelog: _Long = ""
    repository_url: Annotated[str, Field(max_length=2000)] | None = None
    commit_hash: _Word | None = None
    domain: Annotated[str, Field(max_length=32)] | None = None
    tags: _Tags = ()
    created: Moment
    aliases: Annotated[tuple[Annotated[str, Field(max_length=32)], ...], Field(max_length=1000)] = ()
    instances: Annotated[tuple[BundledInstance, ...], Field(min_length=1, max_length=10_000)]


class BundledVariant(_Part):
    """A resolution or flavour."""

    name: Name
    slug: Name
    versions: Annotated[tuple[BundledVersion, ...], Field(min_length=1, max_length=10_000)]


class BundledModel(_Part):
    """A model with its card."""

    name: Name
    slug: Name
    team: _Text = Field("", description="Slug of the team that it was of.")
    summary: _Text = ""
    card: _Long = ""
    license: _Word = "undefined"
    architecture: _Text | None = None
    tasks: Annotated[tuple[_Word, ...], Field(max_length=100)] = ()
    tags: _Tags = ()
    links: Annotated[tuple[dict[str, str], ...], Field(max_length=100)] = ()
    is_yolo: bool = False
    created: Moment
    variants: Annotated[tuple[BundledVariant, ...], Field(min_length=1, max_length=10_000)]

    def versions(self) -> Iterator[tuple[BundledVariant, BundledVersion]]:
        """All versions, with their variants."""
        for variant in self.variants:
            for version in variant.versions:
                yield variant, version

    def instances(self) -> Iterator[BundledInstance]:
        """All instances."""
        for _, version in self.versions():
            yield from version.instances

    @property
    def parts(self) -> int:
        """How many versions, aliases, instances and files it has."""
        versions = sum(1 + len(version.aliases) for _, version in self.versions())
        return versions + sum(1 + len(instance.files) for instance in self.instances())

    def files(self) -> dict[str, int]:
        """The sizes of its files by their sha256."""
        return {file.sha256: file.size for instance in self.instances() for file in instance.files}


class BundledSet(_Part):
    """A calibration set of the team's own: a zip of images."""

    name: Name
    slug: Name
    sha256: Sha256
    size: Size
    count: Annotated[int, Field(ge=0)] = 0


class BundledFrom(_Part):
    """Which hub made a bundle: its address, Oakmill's version, and the public key that it signs with."""

    url: Annotated[str, Field(max_length=2000)] = ""
    oakmill: _Word = ""
    public_key: _Word = ""


class FromBundle(BaseModel):
    """Where an instance came from that came in a bundle: the hub, the bundle's own sha256, when and by whom it was
    made, and what the instance's identifier was there."""

    model_config = ConfigDict(frozen=True)

    hub: str = ""
    hub_key: str = Field("", description="What that hub signs with.")
    sha256: str
    made: datetime
    by: str = ""
    instance: str = ""


class Manifest(_Part):
    """All that a bundle holds. `files` are the sizes in bytes of its files by their sha256, and all of them."""

    format: Literal["oakmill-bundle"] = FORMAT
    version: Literal[1] = VERSION
    made: Moment
    by: _Text = Field("", description="Who made it: a user, or else a key.")
    hub: BundledFrom
    models: Annotated[tuple[BundledModel, ...], Field(min_length=1, max_length=10_000)]
    datasets: Annotated[tuple[BundledSet, ...], Field(max_length=10_000)] = ()
    files: Annotated[dict[Sha256, Size], Field(max_length=LARGEST_BUNDLE)]

    def named(self) -> dict[str, int]:
        """The sizes of all files that models and calibration sets name, by their sha256."""
        sets = {item.sha256: item.size for item in self.datasets}
        return {sha256: size for model in self.models for sha256, size in model.files().items()} | sets

    def excess(self) -> str:
        """In a sentence, what there is more of than a hub takes in; empty where it takes all."""
        parts = {model.slug: model.parts for model in self.models}
        if large := [slug for slug, count in parts.items() if count > LARGEST_MODEL]:
            of = f"the model {large[0]!r} has {parts[large[0]]}"
            return f"{of} versions, aliases, instances and files together, and {LARGEST_MODEL} can be taken in"
        if (count := sum(parts.values())) > LARGEST_BUNDLE:
            return (
                f"its models have {count} versions, aliases, instances and files, and {LARGEST_BUNDLE} can be taken in"
            )
        return ""

    def as_bytes(self) -> bytes:
        """The manifest as it stands in the bundle."""
        return self.model_dump_json(indent=1).encode()
