"""depthai's model zoo: whether the hub is there, and where the file for a slug and a platform is."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.compat import downloads, wire
from oakmill.compat.hubai import words
from oakmill.compat.wire import MODELS, Asked, Json
from oakmill.errors import NotFound
from oakmill.hub.auth import Anyone, Reading, TheHub
from oakmill.registry.callers import Caller
from oakmill.registry.resolve import resolve
from oakmill.registry.tables import Instance
from oakmill.spec.platforms import PlatformTitle

router = wire.router()

Level = Annotated[str, Field(max_length=32)]


class Wanted(Asked):
    """What is wanted from the zoo; levels of optimisation and compression are Hailo's, which nothing here has."""

    slug: Annotated[str, Field(max_length=1000)]
    platform: PlatformTitle
    optimizationLevel: Level = ""  # noqa: N815 - depthai's names
    compressionLevel: Level = ""  # noqa: N815
    snpeVersion: Level = ""  # noqa: N815
    modelPrecisionType: Level = ""  # noqa: N815


@router.get(f"{MODELS}/health")
@router.get(f"{MODELS}/health/")
def health() -> Json:
    """The hub answers. depthai waits a second for exactly 200."""
    return {"status": "ok"}


@router.get(f"{MODELS}/models/download")
def download(asked: Annotated[Wanted, Query()], request: Request, session: Reading, caller: Anyone, at: TheHub) -> Json:
    """The latest result for the platform: its hash, its identifiers, and links that need no key."""
    if asked.optimizationLevel or asked.compressionLevel:
        raise NotFound("There is no result of such a level.", remedy="Omit the levels; they are Hailo's.")
    row = _found(session, caller, asked)
    return {
        "hash": row.sha256,
        "download_links": downloads.links(at, request, caller, row),
        "model_id": row.model_id,
        "model_version_id": row.version_id,
        "model_instance_id": row.id,
    }


def _found(session: Session, caller: Caller, asked: Wanted) -> Instance:
    """The latest that fits: a short precision stands for several modes.

    Raises:
        NotFound: there is none that the caller sees.
    """
    short = asked.modelPrecisionType.upper()
    modes = words.PRECISIONS.get(short, (short,)) if short else (None,)
    found, missing = [], None
    for mode in modes:
        try:
            found.append(
                resolve(
                    session, caller, asked.slug, asked.platform, precision=mode, tool_version=asked.snpeVersion or None
                )
            )
        except NotFound as error:
            missing = error
    if not found:
        raise missing or NotFound(subject=asked.slug)
    return max(found, key=lambda row: (row.created, row.id))
