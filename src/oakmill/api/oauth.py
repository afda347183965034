"""How programs come by a key, as OAuth has it: a CI job's token for one, or a code that a person approves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import Form, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from oakmill.errors import (
    Forbidden,
    LoginExpired,
    LoginPending,
    LoginRefused,
    LoginTooFast,
    OakmillError,
    TokenRefused,
)
from oakmill.hub import exchange, problems
from oakmill.hub.auth import TheHub, Writing
from oakmill.hub.routing import LimitedRoute, router
from oakmill.hub.sign_in import base_address
from oakmill.hub.wire_logins import LoginCode, Revoked, Token
from oakmill.registry import keys, logins
from oakmill.registry.callers import Scope
from oakmill.storage.database import now

NO_STORE = {"Cache-Control": "no-store"}
CODES: dict[type[OakmillError], str] = {
    LoginPending: "authorization_pending",
    LoginTooFast: "slow_down",
    LoginRefused: "access_denied",
    LoginExpired: "expired_token",
    TokenRefused: "invalid_request",
    Forbidden: "invalid_scope",
}
"""What OAuth calls these; its clients look at no other word, and expect the status 400."""


class OAuthRoute(LimitedRoute):
    """A route whose refusals OAuth's clients understand, beside ours."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with OAuth's words in what it refuses."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except tuple(CODES) as error:
                problem = problems.of(error).model_dump() | {"status": 400}
                words = {"error": CODES[type(error)], "error_description": error.message}
                return JSONResponse(problem | words, 400, NO_STORE, problems.MEDIA_TYPE)

        return answered


routes = router("oauth")
routes.route_class = OAuthRoute


class _Asked(BaseModel):
    """A form, as OAuth has them: what is not known in it is ignored."""

    model_config = ConfigDict(extra="ignore")


class ExchangeForm(_Asked):
    """An identity token, and what is wanted for it."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token: str = Field(max_length=40_000)
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"]
    scope: Scope | None = Field(None, description="Less than the repository is trusted with.")


class DeviceForm(_Asked):
    """A command line that wants to log in."""

    client_id: str = Field("oakmill", max_length=255, description="What it calls itself: oakmill on HOST.")


class TokenForm(_Asked):
    """The code by which a command line asks after its login."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:device_code"]
    device_code: str = Field(max_length=255)


class RevokeForm(_Asked):
    """A key that is to be over."""

    token: str = Field(max_length=255)


class Exchanged(Token):
    """A key for an identity token."""

    issued_token_type: str = "urn:ietf:params:oauth:token-type:access_token"


@routes.post("/auth/exchange")
def exchange_token(
    form: Annotated[ExchangeForm, Form()], request: Request, response: Response, at: TheHub
) -> Exchanged:
    """A key of 15 minutes for the identity token of a CI job, whose repository the operator trusts. Needs no key."""
    given = exchange.exchange(at, form.subject_token, wanted=form.scope, address=_address(request))
    response.headers.update(NO_STORE)
    return Exchanged(access_token=given.raw, expires_in=exchange.SECONDS, scope=given.scope)


@routes.post("/auth/device")
def begin_login(
    form: Annotated[DeviceForm, Form()], request: Request, response: Response, at: TheHub, session: Writing
) -> LoginCode:
    """Two codes for a login: one that a person approves on the page `/device`, one to ask with. Needs no key."""
    begun = logins.begin(session, client=form.client_id, address=_address(request))
    page = f"{base_address(at, request)}/device"
    response.headers.update(NO_STORE)
    return LoginCode(
        device_code=begun.device_code,
        user_code=begun.user_code,
        verification_uri=page,
        verification_uri_complete=f"{page}?code={begun.user_code}",
        expires_in=logins.SECONDS,
        interval=logins.INTERVAL,
    )


@routes.post("/auth/token")
def finish_login(form: Annotated[TokenForm, Form()], response: Response, at: TheHub) -> Token:
    """The key of a login, once its code is approved. Needs no key."""
    with at.db.session() as session:
        too_fast = logins.is_too_fast(session, form.device_code)
    if too_fast:  # outside: what was noted stays so
        raise LoginTooFast(remedy=f"Ask every {logins.INTERVAL} seconds.")
    with at.db.session() as session:
        key, raw = logins.redeem(session, form.device_code)
        expires = key.expires or now()
        response.headers.update(NO_STORE)
        left = int((expires - now()).total_seconds())
        return Token(access_token=raw, expires_in=left, scope=key.scopes)


@routes.post("/auth/revoke")
def revoke_token(form: Annotated[RevokeForm, Form()], request: Request, at: TheHub, session: Writing) -> Revoked:
    """End the force of a key that came by a login or an exchange, for who holds it (RFC 7009)."""
    found = keys.give_back(session, form.token, address=_address(request))
    return Revoked(revoked=found)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
