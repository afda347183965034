"""What is shown once: a secret that a form has made rides, signed, to the page that is gone to, and no reload shows it.

So a reload makes no second one either.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi.responses import Response

from oakmill.errors import NotFound
from oakmill.hub import links, sessions
from oakmill.web.page_context import PageContext

_SECONDS = 60


@dataclass(frozen=True)
class Once:
    """A secret of that kind, shown on the page at `path`."""

    kind: str
    path: str

    def shown(self, context: PageContext) -> dict[str, str] | None:
        """What was made a moment ago, and is shown this once."""
        try:
            said = links.read(context.at.secret, self.kind, context.request.cookies.get(self.kind, ""))
        except NotFound:
            return None
        return {name: str(value) for name, value in said.items()}

    def go(self, context: PageContext, **values: str) -> Response:
        """On to the page, which shows these."""
        response = context.go(self.path)
        token = links.sign(context.at.secret, self.kind, values, seconds=_SECONDS)
        secure = sessions.is_secure(context.at, context.request)
        response.set_cookie(
            self.kind, token, max_age=_SECONDS, path=self.path, httponly=True, samesite="strict", secure=secure
        )
        return response

    def forget(self, response: Response) -> None:
        """It was shown."""
        response.delete_cookie(self.kind, path=self.path, httponly=True, samesite="strict")
