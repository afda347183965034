"""What the hub answers of what is kept and how: aliases and their moves, the trash, and rules on results."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from oakmill.hub.wire import Answer


class Alias(Answer):
    """A name that points to one of a variant's versions: team/model:variant@name."""

    name: str
    variant_id: str
    variant_slug: str
    version_id: str
    version: str
    moved: datetime
    moved_by: str = Field("", description="The user who moved it last, or else the key.")
    why: str = ""
    before_id: str | None = Field(None, description="The version that it pointed to before, where that is still there.")
    before: str | None = None


class AliasMove(Answer):
    """A move of an alias; an end that is null is nothing."""

    name: str
    variant_id: str
    variant_slug: str
    at: datetime
    who: str = Field("", description="The user, or else the key.")
    from_id: str | None = None
    from_version: str | None = None
    to_id: str | None = None
    to_version: str | None = None
    why: str = ""


class Trashed(Answer):
    """What was deleted together, and can be restored until then."""

    id: str
    kind: str = Field(description="model, variant, version, instance or dataset.")
    name: str
    slug: str = ""
    size: int = Field(0, description="Bytes of its files; others may name some of them, too.")
    at: datetime
    until: datetime | None = None
    who: str = Field("", description="The user, or else the key.")
    why: str = ""


class DueResult(Answer):
    """A result that a team's rule does not keep."""

    id: str
    model_id: str
    name: str
    platform: str
    size: int
    used: datetime = Field(description="When it was made or downloaded last.")


class Storage(Answer):
    """What a team stores in bytes, its rule on results, and what would go by it now."""

    quota_bytes: int | None = None
    used_bytes: int = 0
    trash_bytes: int = Field(0, description="What of it nothing but the trash names.")
    keep_results: int | None = None
    keep_days: int | None = None
    due: tuple[DueResult, ...] = Field((), description="The first thousand.")
    due_count: int = 0
    due_bytes: int = 0
