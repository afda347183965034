"""The list of models: public ones, the team's and one's own; every filter stands in the address."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import Response

from oakmill.hub.files import base_url
from oakmill.registry import models, search
from oakmill.registry.tables import LISTED, Model, Visibility
from oakmill.registry.words import Task
from oakmill.spec.platforms import titles
from oakmill.web.page_context import Open, Reading
from oakmill.web.routing import page_router
from oakmill.web.views.addresses import address

pages = page_router()

ON_PAGE = 30
Word = Annotated[str, Query(max_length=255)]
SORTS = {"updated": "Latest change", "name": "Name", "downloads": "Downloads", "created": "Newest"}
SCOPES = {"": "All models", "own": "Private", "team": "Team", "public": "Public"}
_VISIBILITIES: dict[str, tuple[Visibility, ...]] = {
    "": LISTED,
    "own": (Visibility.PRIVATE,),
    "team": (Visibility.TEAM,),
    "public": (Visibility.PUBLIC,),
}


@pages.get("/models")
def model_list(
    context: Open,
    session: Reading,
    text: Word = "",
    task: Word = "",
    platform: Word = "",
    scope: Literal["", "own", "team", "public"] = "",
    sort: Literal["updated", "name", "downloads", "created"] = "updated",
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """A page of models."""
    query = search.Query(
        text=text,
        tasks=(task,) if task else (),
        platforms=(platform,) if platform else (),
        visibility=_VISIBILITIES[scope],
        team_id=context.caller.team_id if scope in ("own", "team") else None,
        sort=sort,
        descending=sort != "name",
        limit=ON_PAGE,
        cursor=cursor,
    )
    found = search.models(session, context.caller, query)
    asked = {"text": text, "task": task, "platform": platform, "scope": scope, "sort": sort}
    said = {**asked, "sort": "" if sort == "updated" else sort}
    return context.page(
        "models.html",
        rows=found.items,
        counts=models.counts(session, [row.id for row in found.items]),
        asked=asked,
        is_filtered=bool(text or task or platform or scope),
        total=search.count(session, context.caller, Model, query),
        next_page=address("/models", said, cursor=found.next_cursor) if found.next_cursor else None,
        may_add=context.caller.may_for_whole_team("convert"),
        address=base_url(context.at, context.request),
        **_choices(),
    )


def _choices() -> dict[str, Any]:
    return {"tasks": list(Task), "platforms": titles(), "sorts": SORTS, "scopes": SCOPES}
