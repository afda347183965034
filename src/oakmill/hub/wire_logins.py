"""What a login of the command line is answered with, for the hub and for its client."""

from __future__ import annotations

from pydantic import Field

from oakmill.hub.wire import Answer


class LoginCode(Answer):
    """The two codes of a login, as OAuth calls them."""

    device_code: str = Field(description="To ask with; not to be shown.")
    user_code: str = Field(description="To be approved by a person.")
    verification_uri: str
    verification_uri_complete: str = Field(description="With the code in it.")
    expires_in: int = Field(description="Seconds.")
    interval: int = Field(description="Seconds between two questions, at least.")


class Token(Answer):
    """A key, as OAuth calls it."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(description="Seconds.")
    scope: str


class Revoked(Answer):
    """Whether a key was ended; one that an admin made goes on."""

    revoked: bool
