"""What a page's function is given: who asks, the hub, and how to draw; one kind for each right that a page needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from oakmill.hub import auth, sessions
from oakmill.hub.state import Hub
from oakmill.registry.callers import Caller
from oakmill.web import render
from oakmill.web.navigation import navigation

Reading = auth.Reading
Writing = auth.Writing


@dataclass(frozen=True)
class PageContext:
    """One request for a page, and all that it is answered with."""

    request: Request
    at: Hub
    caller: Caller

    @property
    def owner(self) -> str:
        """The team whose share of the isolated workers a look is taken from."""
        return self.caller.team_id or ""

    def page(self, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """A whole page, in the frame."""
        items = navigation(self.at, self.caller, self.request.url.path)
        who = self.caller if self.caller.is_known else None
        page = render.page(self.request, template, status=status, navigation=items, caller=who, **context)
        sessions.renew(self.at, self.request, page, self.caller)
        return page

    def part(self, template: str, **context: Any) -> HTMLResponse:
        """A piece of a page, which htmx puts in its place."""
        return render.page(self.request, template, navigation=(), caller=self.caller, **context)

    def go(self, where: str) -> Response:
        """On to another page; also from a request of htmx."""
        if self.is_htmx:
            return Response(status_code=204, headers={"HX-Redirect": where})
        return RedirectResponse(where, 303)

    @property
    def is_htmx(self) -> bool:
        """Whether a piece is wanted, not a page."""
        return "hx-request" in self.request.headers


def _given(kind: Any) -> Any:
    def found(request: Request, at: auth.TheHub, caller: kind) -> PageContext:
        request.state.caller = caller if caller.is_known else None  # for the page that tells an error
        return PageContext(request, at, caller)

    found.__annotations__["caller"] = kind
    return Depends(found)


Open = Annotated[PageContext, _given(auth.Anyone)]
"""For everybody whom the operator lets in without a key, too."""
Known = Annotated[PageContext, _given(auth.Reader)]
Changing = Annotated[PageContext, _given(auth.Converter)]
Ruling = Annotated[PageContext, _given(auth.Admin)]
