"""The registry's tables: models > variants > versions > instances > files, and who may see them.

A row names a file only when its bytes are complete in the store. Identifiers are strings of our own making
(`identifiers.py`), in the form that Luxonis' clients take for identifiers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from oakmill.findings import severity_of
from oakmill.registry.states import LISTED as LISTED
from oakmill.registry.states import TRASHED as TRASHED
from oakmill.registry.states import InstanceStatus as InstanceStatus
from oakmill.registry.states import KeyOrigin as KeyOrigin
from oakmill.registry.states import LoginState as LoginState
from oakmill.registry.states import Origin as Origin
from oakmill.registry.states import Role as Role
from oakmill.registry.states import Visibility as Visibility
from oakmill.storage.database import Base, UtcDateTime, now

Name = String(255)
Id = String(64)
Sha256 = String(64)
Words = String(400)
"""Lower-case text to search in; as long as an index's entry may be in PostgreSQL."""


class VerdictWord(TypeDecorator[str]):
    """A severity in a word; rows that were written before there was one scale come out in its words."""

    impl = String(8)
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The word of today."""
        return value and severity_of(value).value


class Timed:
    """Rows that know when they came and when they changed."""

    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)


class Kept:
    """Rows that can lie in the trash; `trash_id` says with what they were put there, None that they are in use."""

    trash_id: Mapped[str | None] = mapped_column(Id, index=True)


class Seen(Kept):
    """Rows that carry who sees them: a model's own columns, copied to all below it, so that no list has to join.

    `owner_key_id` is who made it: a user, or else a key.
    """

    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    owner_key_id: Mapped[str | None] = mapped_column(Id)
    visibility: Mapped[str] = mapped_column(String(16), default=Visibility.TEAM)


def _listing(table: str, *sorts: str, filters: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> list[Index]:
    """A list is merged from parts, each of one visibility, within a team or not: each finds its page in an index.

    The columns in `filters` end the indexes: what is rare is found without reading the rows. So does `words` for the
    first sort.
    """
    return [
        Index(f"{table}_{name}_by_{sort}", *leading, sort, "id", *filters, *(words if sort == sorts[0] else ()))
        for sort in sorts
        for name, leading in (("of_team", ("team_id", "visibility")), ("of_all", ("visibility",)))
    ]


class Team(Timed, Base):
    """A group that owns models. `quota_bytes` bounds what it stores; None is no bound.

    `highest_priority` bounds what its keys may give their jobs, `most_running` how many of them run at once; `served`
    is when the last one began. `keep_results` and `keep_days` are the rule of `retention`; None for both is none.
    """

    __tablename__ = "teams"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    slug: Mapped[str] = mapped_column(Name, unique=True)
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    highest_priority: Mapped[int] = mapped_column(default=100, server_default="100")
    most_running: Mapped[int | None] = mapped_column()
    served: Mapped[datetime | None] = mapped_column(UtcDateTime)
    keep_results: Mapped[int | None] = mapped_column()
    keep_days: Mapped[int | None] = mapped_column()


class User(Timed, Base):
    """Somebody who signed in at a provider, known by what it calls them (`subject`); their name and e-mail may change.

    `team_id` is the team that their groups led to when they were `seen` last, None where they led to none.
    """

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    issuer: Mapped[str] = mapped_column(Name)
    subject: Mapped[str] = mapped_column(Name)
    email: Mapped[str] = mapped_column(Name)
    name: Mapped[str] = mapped_column(Name, default="")
    team_id: Mapped[str | None] = mapped_column(ForeignKey("teams.id", ondelete="SET NULL"), index=True)
    seen: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    disabled: Mapped[datetime | None] = mapped_column(UtcDateTime)
    __table_args__ = (UniqueConstraint("issuer", "subject", name="one_user_per_subject"),)


class Key(Base):
    """An API key, known by its hash. `model_id` narrows it to one model; `scopes` is sorted and comma-separated.

    `user_id` is whose own it is, None for the team's; `origin` how it came (see `KeyOrigin`). It may make
    `requests_per_minute`, and of its jobs `most_running` run at once; None is as the hub and the team have it.
    """

    __tablename__ = "keys"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    model_id: Mapped[str | None] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Name)
    prefix: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(Sha256, unique=True)
    scopes: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used: Mapped[datetime | None] = mapped_column(UtcDateTime)
    user_id: Mapped[str | None] = mapped_column(Id, index=True)
    origin: Mapped[str] = mapped_column(String(16), default=KeyOrigin.MADE, server_default=KeyOrigin.MADE)
    requests_per_minute: Mapped[int | None] = mapped_column()
    most_running: Mapped[int | None] = mapped_column()


class Login(Base):
    """A login of the command line that waits for approval, by the hash of the code that it asks with.

    `key_id` is whose key approved it, for what `scope`; `asked` when it asked last.
    """

    __tablename__ = "logins"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_code: Mapped[str] = mapped_column(String(16), index=True)
    client: Mapped[str] = mapped_column(Name)
    address: Mapped[str] = mapped_column(String(64), default="")
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16), default=LoginState.WAITING)
    key_id: Mapped[str | None] = mapped_column(Id)
    scope: Mapped[str | None] = mapped_column(String(16))
    asked: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EndedSession(Base):
    """A web session that was signed out of before its time; its row may go when that has come."""

    __tablename__ = "ended_sessions"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditEntry(Base):
    """Who did what; written in the same transaction as the deed. Names are kept, for the rows may go."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    team_id: Mapped[str | None] = mapped_column(Id, index=True)
    key_id: Mapped[str | None] = mapped_column(Id)
    key_name: Mapped[str] = mapped_column(Name, default="")
    user_name: Mapped[str | None] = mapped_column(Name)
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(Name, default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    address: Mapped[str] = mapped_column(String(64), default="")


class Model(Seen, Timed, Base):
    """A model: a name and a card; what can be downloaded stands below it. `words` is what a search by text reads.

    `face` is the sha256 of the small image that lists show; it is a file of one of the instances."""

    __tablename__ = "models"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    slug: Mapped[str] = mapped_column(Name)
    words: Mapped[str] = mapped_column(Words, default="")
    summary: Mapped[str] = mapped_column(Name, default="")
    license: Mapped[str] = mapped_column(String(64), default="undefined")
    architecture: Mapped[str | None] = mapped_column(Name)
    tasks: Mapped[list[str]] = mapped_column(JSON, default=list)
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    links: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    is_yolo: Mapped[bool] = mapped_column(default=False)
    downloads: Mapped[int] = mapped_column(default=0)
    card: Mapped[str] = mapped_column(Text, default="")
    face: Mapped[str | None] = mapped_column(Sha256)
    team: Mapped[Team] = relationship(lazy="raise")
    __table_args__ = (
        UniqueConstraint("team_id", "slug", name="one_model_per_slug"),
        Index("models_by_slug", "slug"),
        *_listing("models", "updated", "created", "name", "downloads", words=("words",)),
    )


class Variant(Kept, Timed, Base):
    """A resolution or flavour of a model; it is there as long as it has a version."""

    __tablename__ = "variants"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Name)
    slug: Mapped[str] = mapped_column(Name)
    __table_args__ = (UniqueConstraint("model_id", "slug", name="one_variant_per_slug"),)


class Version(Seen, Timed, Base):
    """A variant's weights. `major`, `minor` and `patch` order what `version` says."""

    __tablename__ = "versions"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    variant_id: Mapped[str] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"))
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    version: Mapped[str] = mapped_column(String(64))
    major: Mapped[int] = mapped_column(default=0)
    minor: Mapped[int] = mapped_column(default=0)
    patch: Mapped[int] = mapped_column(default=0)
    changelog: Mapped[str] = mapped_column(Text, default="")
    repository_url: Mapped[str | None] = mapped_column(String(2000))
    commit_hash: Mapped[str | None] = mapped_column(String(64))
    domain: Mapped[str | None] = mapped_column(String(32))
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    variant: Mapped[Variant] = relationship(lazy="raise")
    __table_args__ = (
        UniqueConstraint("variant_id", "version", name="one_row_per_version"),
        *_listing("versions", "updated", "created"),
    )


class Alias(Base):
    """A name that points to one of a variant's versions, and may be moved to another: prod, staging."""

    __tablename__ = "aliases"
    variant_id: Mapped[str] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), index=True)
    moved: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    variant: Mapped[Variant] = relationship(lazy="raise")
    version: Mapped[Version] = relationship(lazy="raise")


class AliasMove(Base):
    """Who pointed an alias to what, and why; an end that is null is nothing. Numbers are kept, for versions may go."""

    __tablename__ = "alias_moves"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    variant_id: Mapped[str] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    key_id: Mapped[str | None] = mapped_column(Id)
    who: Mapped[str] = mapped_column(Name, default="")
    from_id: Mapped[str | None] = mapped_column(Id)
    from_version: Mapped[str | None] = mapped_column(String(64))
    to_id: Mapped[str | None] = mapped_column(Id)
    to_version: Mapped[str | None] = mapped_column(String(64))
    why: Mapped[str] = mapped_column(Name, default="")
    variant: Mapped[Variant] = relationship(lazy="raise")


_FILTERS = ("owner_key_id", "status", "origin", "model_type", "precision", "tool_version", "verdict")
_BUT_TYPE = tuple(name for name in _FILTERS if name != "model_type")


class Instance(Seen, Timed, Base):
    """One file for one platform: uploaded, or converted from a parent by a job.

    `model_type` is HubAI's word: ONNX, IR, TFLITE, PYTORCH, RVC2, RVC3, RVC4. `facts` is what inspecting the file
    found: tensors, opset, size, heads. `parameters` is the effective spec of the conversion. `used` is when it was
    downloaded last. `from_bundle` is which bundle it came in from another hub, as `spec.bundle.FromBundle` says it.
    `imported` is where a source was fetched from (`spec.imported`); None where it was uploaded.
    """

    __tablename__ = "instances"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    variant_id: Mapped[str] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"), index=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[str | None] = mapped_column(Id, index=True)
    name: Mapped[str] = mapped_column(Name)
    slug: Mapped[str] = mapped_column(Name, index=True)
    words: Mapped[str] = mapped_column(Words, default="")
    description: Mapped[str | None] = mapped_column(Name)
    origin: Mapped[str] = mapped_column(String(16), default=Origin.SOURCE)
    status: Mapped[str] = mapped_column(String(16), default=InstanceStatus.PENDING)
    model_type: Mapped[str] = mapped_column(String(16))
    is_nn_archive: Mapped[bool] = mapped_column(default=False)
    precision: Mapped[str | None] = mapped_column(String(40))
    tool_version: Mapped[str | None] = mapped_column(String(64))
    input_shape: Mapped[list[list[int | str | None]]] = mapped_column(JSON, default=list)
    quantization_data: Mapped[str | None] = mapped_column(Name)
    sha256: Mapped[str | None] = mapped_column(Sha256, index=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    verdict: Mapped[str | None] = mapped_column(VerdictWord)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    yolo_version: Mapped[str | None] = mapped_column(String(32))
    imported: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    downloads: Mapped[int] = mapped_column(default=0)
    used: Mapped[datetime | None] = mapped_column(UtcDateTime)
    from_bundle: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    model: Mapped[Model] = relationship(lazy="raise")
    variant: Mapped[Variant] = relationship(lazy="raise")
    version: Mapped[Version] = relationship(lazy="raise")
    files: Mapped[list[InstanceFile]] = relationship(
        lazy="raise", order_by="InstanceFile.created", passive_deletes=True
    )
    __table_args__ = (
        Index("instances_of_model", "model_id", "model_type", "status"),
        Index("instances_of_model_by_updated", "model_id", "updated", "id"),
        Index("instances_of_team_by_type", "team_id", "visibility", "model_type", "updated", "id", *_BUT_TYPE),
        Index("instances_of_all_by_type", "visibility", "model_type", "updated", "id", *_BUT_TYPE),
        *_listing("instances", "updated", "created", "name", "downloads", filters=_FILTERS, words=("words",)),
    )


class InstanceFile(Timed, Base):
    """A file of an instance: its name for people, and its bytes by sha256 in the store."""

    __tablename__ = "files"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Name)
    role: Mapped[str] = mapped_column(String(16), default=Role.MODEL)
    sha256: Mapped[str] = mapped_column(Sha256, index=True)
    size: Mapped[int] = mapped_column(BigInteger)


class Dataset(Kept, Timed, Base):
    """A team's own calibration set: a zip in the store."""

    __tablename__ = "datasets"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Name)
    slug: Mapped[str] = mapped_column(Name)
    sha256: Mapped[str] = mapped_column(Sha256, index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int] = mapped_column(default=0)
    report: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    __table_args__ = (UniqueConstraint("team_id", "slug", name="one_dataset_per_slug"),)


class Trash(Base):
    """What was deleted at once, until it is restored or goes for good: one row, with all that went along.

    `kind` says which of the references is meant; those before it say where it stood. `slug` is what it was called in
    addresses, and gave up; `visibility` and `owner_id` are its model's.
    """

    __tablename__ = "trash"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    team_id: Mapped[str] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    model_id: Mapped[str | None] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    variant_id: Mapped[str | None] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"), index=True)
    version_id: Mapped[str | None] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), index=True)
    instance_id: Mapped[str | None] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), index=True)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Name)
    slug: Mapped[str] = mapped_column(Name)
    visibility: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str | None] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    key_id: Mapped[str | None] = mapped_column(Id)
    who: Mapped[str] = mapped_column(Name, default="")
    why: Mapped[str] = mapped_column(Name, default="")
    __table_args__ = (Index("trash_of_team", "team_id", "at"),)
