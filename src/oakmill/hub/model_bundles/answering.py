"""Answers a request with a bundle, which is made while it is sent."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from oakmill.hub import links
from oakmill.hub.files import base_url
from oakmill.hub.model_bundles import making
from oakmill.hub.state import Hub
from oakmill.registry.callers import Caller


def answer(
    at: Hub, request: Request, session: Session, caller: Caller, models: Sequence[str], *, with_datasets: bool = False
) -> StreamingResponse:
    """The bundle of these models, as a file to keep.

    Raises:
        NotFound, SpecError, NoKey: as `making.manifest`.
    """
    url = base_url(at, request)
    made = making.manifest(session, caller, at, models, with_datasets=with_datasets, url=url)
    name = links.quoted(making.file_name(made))
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(making.pieces(at, made), media_type="application/zip", headers=headers)
