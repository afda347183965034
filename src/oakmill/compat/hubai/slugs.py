"""HubAI's look-up of many addresses in one request, which its client up to 0.3.1 begins with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.compat.hubai import shapes
from oakmill.compat.hubai.lists import Word
from oakmill.compat.wire import MODELS, Asked, Json, router
from oakmill.errors import SpecError
from oakmill.hub.auth import Anyone, Reading
from oakmill.registry import resolve
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address

routes = router()


class SlugItem(Asked):
    """An address, and the number by which the client knows it again."""

    identifier: int
    slug: Annotated[str, Field(max_length=1000)]


class Slugs(Asked):
    """Addresses to look up, narrowed by slugs."""

    items: Annotated[list[SlugItem], Field(max_length=500)]
    team_slugs: list[Word] | None = None
    model_slugs: list[Word] | None = None
    variant_slugs: list[Word] | None = None


@routes.post(f"{MODELS}/models/read_by_slugs")
def read_by_slugs(body: Slugs, session: Reading, caller: Anyone) -> Json:
    """The model and the latest version at each address."""
    for field in ("team_slugs", "model_slugs", "variant_slugs"):
        if getattr(body, field):
            raise SpecError(f"{field} is not taken here.", subject=field, remedy="Write whole addresses into items.")
    return {"items": [_found(session, caller, item) for item in body.items]}


def _found(session: Session, caller: Caller, item: SlugItem) -> Json:
    """What stands at an address.

    Raises:
        SpecError: it has no team or variant: in these words, which let the client go on with its lists.
        NotFound: there is nothing that the caller sees.
    """
    try:
        address = Address.parse(item.slug)
    except SpecError:
        address = None
    if address is None or address.variant is None:
        raise SpecError("Invalid slug format", subject=item.slug, remedy="Write team/model:variant.")
    model = resolve.model(session, caller, address)
    version = resolve.version(session, caller, address)
    return {
        "identifier": item.identifier,
        "model": shapes.models(session, [model])[0],
        "model_version": shapes.versions(session, [version])[0],
    }
