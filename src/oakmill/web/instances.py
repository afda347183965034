"""What can be done with an instance: downloaded from its page's link, by whoever sees it."""

from __future__ import annotations

from fastapi.responses import RedirectResponse, Response

from oakmill.api import files
from oakmill.errors import NotFound
from oakmill.registry import instances
from oakmill.registry.tables import Role
from oakmill.web.desk import Open, Reading
from oakmill.web.pages import Id, page_router

pages = page_router()


@pages.get("/instances/{instance_id}/download")
def download(instance_id: Id, desk: Open, session: Reading) -> Response:
    """On to the file itself, by a link that works for a while."""
    row = instances.instance(session, desk.caller, instance_id)
    file = next((file for file in row.files if file.role == Role.MODEL), None)
    if file is None:
        raise NotFound(f"The instance {row.name!r} has no file yet.", subject=row.id, remedy="Wait for its conversion.")
    return RedirectResponse(files.link(desk.at, desk.request, file).url, 303)
