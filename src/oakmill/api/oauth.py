"""How programs come by a key, as OAuth has it: a CI job's token for one, or a code that a person approves."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from oakmill.hub import exchange
from oakmill.hub.auth import TheHub
from oakmill.hub.routing import router
from oakmill.hub.wire import Answer
from oakmill.registry.callers import Scope

routes = router("oauth")

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS = "urn:ietf:params:oauth:token-type:access_token"
NO_STORE = {"Cache-Control": "no-store"}


class _Asked(BaseModel):
    """A form, as OAuth has them: what is not known in it is ignored."""

    model_config = ConfigDict(extra="ignore")


class ExchangeForm(_Asked):
    """An identity token, and what is wanted for it."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token: str = Field(max_length=40_000)
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"]
    scope: Scope | None = Field(None, description="Less than the repository is trusted with.")


class Token(Answer):
    """A key, as OAuth calls it."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(description="Seconds.")
    scope: str


class Exchanged(Token):
    """A key for an identity token."""

    issued_token_type: str = _ACCESS


@routes.post("/auth/exchange")
def exchange_token(
    form: Annotated[ExchangeForm, Form()], request: Request, response: Response, at: TheHub
) -> Exchanged:
    """A key of 15 minutes for the identity token of a CI job, whose repository the operator trusts. Needs no key."""
    address = request.client.host if request.client else ""
    given = exchange.exchange(at, form.subject_token, wanted=form.scope, address=address)
    response.headers.update(NO_STORE)
    return Exchanged(access_token=given.raw, expires_in=exchange.SECONDS, scope=given.scope)
