"""HubAI's model versions, which its client calls variants: a variant of ours with its number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import Query as Parameters
from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.compat.hubai import lists, named, shapes
from oakmill.compat.hubai.lists import Listing, Word
from oakmill.compat.hubai.models import unique
from oakmill.compat.wire import MODELS, Asked, Json, router
from oakmill.errors import Conflict, NotFound, SpecError
from oakmill.hub.auth import Anyone, Converter, Reading, TheHub, Writing
from oakmill.hub.removal import remove
from oakmill.hub.routing import Id
from oakmill.registry import resolve, search, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address
from oakmill.registry.search import Query

routes = router()


class VersionsListing(Listing):
    """The filters of the list of versions; without a limit it is whole, for clients count on from its highest."""

    model_id: Word | None = None
    name: Word | None = None
    variant_slug: Word | None = None
    version: Word | None = None
    limit: Annotated[int, Field(ge=1, le=lists.MOST)] = lists.MOST

    def aliased(self) -> tuple[str, Address] | None:
        """The filter that ends in an alias, and the address that it makes."""
        variant = f"{self.model_id}:{self.variant_slug}" if self.model_id and self.variant_slug else None
        for field, text in (("slug", self.slug), ("variant_slug", variant)):
            with suppress(SpecError):
                at = Address.parse(text) if text else None
                if at is not None and at.alias is not None:
                    return field, at
        return None

    def queries(self, **above: str) -> Iterator[Query]:
        """The list in the registry's words, once for each reading of the slug; `above` is the model."""
        stated = (self.variant_slug, self.version)
        for variant_slug, version in [stated] if self.slug is None else _readings(self.slug):
            if self.variant_slug in (None, variant_slug) and self.version in (None, version):
                yield self.query(**above, name=self.name, variant_slug=variant_slug, version=version)


class VersionIn(Asked):
    """A new version."""

    model_id: Word
    name: Word
    version: Annotated[str, Field(max_length=64)] | None = None
    description: str | None = None
    repository_url: Annotated[str, Field(max_length=2000, pattern=r"^https?://")] | None = None
    commit_hash: Annotated[str, Field(max_length=64)] | None = None
    domain: Literal["GENERAL"] | None = None
    tags: Annotated[list[Word], Field(max_length=64)] | None = None


@routes.get(f"{MODELS}/modelVersions")
def list_versions(asked: Annotated[VersionsListing, Parameters()], session: Reading, caller: Anyone) -> list[Json]:
    """The versions that the caller sees."""
    if (aliased := asked.aliased()) is not None:
        field, address = aliased
        return _pointed(session, caller, address, {field: getattr(asked, field)})
    above = named.below(session, caller, model=asked.model_id)
    found = [
        row
        for query in asked.queries(**above)
        for row in lists.rows(search.versions, session, caller, query, asked.limit)
    ]
    return shapes.versions(session, found[: asked.limit])


@routes.post(f"{MODELS}/modelVersions")
def create_version(body: VersionIn, session: Writing, caller: Converter) -> Json:
    """A new version; its variant is made where there is none of that name."""
    notes: variants.Notes = {
        "changelog": body.description or "",
        "repository_url": body.repository_url,
        "commit_hash": body.commit_hash,
        "domain": body.domain,
        "tags": body.tags or [],
    }
    try:
        row = variants.add_version(session, caller, body.model_id, name=body.name, version=body.version, **notes)
    except Conflict as error:
        raise unique(error) from None
    session.flush()
    return shapes.versions(session, [row])[0]


@routes.get(f"{MODELS}/modelVersions/{{version_id}}")
def get_version(version_id: Id, session: Reading, caller: Anyone) -> Json:
    """A version."""
    return shapes.versions(session, [variants.version(session, caller, version_id)])[0]


@routes.delete(f"{MODELS}/modelVersions/{{version_id}}")
def delete_version(version_id: Id, session: Writing, caller: Converter, at: TheHub) -> None:
    """Delete the version and all below it, as clients expect."""
    remove(at, session, caller, "versions", version_id, force=True)


def _pointed(session: Session, caller: Caller, address: Address, asked: Json) -> list[Json]:
    """The version that an alias points to, with the slug that was `asked` for: clients check that it is the same."""
    try:
        row = resolve.version(session, caller, address)
    except NotFound:
        return []
    return [shapes.versions(session, [row])[0] | asked]


def _readings(slug: str) -> Iterator[tuple[str, str]]:
    """Where a version's slug may part into the variant's slug and the number."""
    for place, letter in enumerate(slug):
        if letter == "-" and 0 < place < len(slug) - 1 and slug[place + 1].isdigit():
            yield slug[:place], slug[place + 1 :]
