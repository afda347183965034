"""Logging in without a key: a code for a person to approve, and the wait until somebody does (RFC 8628)."""

from __future__ import annotations

import time
from collections.abc import Callable

from oakmill.client.connection import Connection
from oakmill.errors import HubUnreachable, LoginExpired, LoginPending, LoginTooFast, Unavailable
from oakmill.hub.wire_logins import LoginCode, Revoked, Token

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Logins:
    """Logins at a hub, for who has no key yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, name: str) -> LoginCode:
        """The codes of a new login, of a program that calls itself `name`.

        Raises:
            NotFound: the hub is older than logins.
            HubUnreachable: the hub does not answer.
        """
        return LoginCode.model_validate(self._connection.ask("POST", "/auth/device", data={"client_id": name}))

    def wait(self, code: LoginCode, sleep: Callable[[float], None] = time.sleep) -> Token:
        """The key, once somebody has approved the code; a hub that is away for a while is waited for.

        Raises:
            LoginRefused: somebody refused it.
            LoginExpired: nobody approved it in time.
        """
        until, pause = time.monotonic() + code.expires_in, float(code.interval)
        form = {"grant_type": _GRANT, "device_code": code.device_code}
        while time.monotonic() < until:
            sleep(pause)
            try:
                return Token.model_validate(self._connection.ask("POST", "/auth/token", data=form))
            except LoginTooFast:
                pause += 5
            except (LoginPending, HubUnreachable, Unavailable):
                continue
        raise LoginExpired(remedy="Begin again: oakmill login")

    def end(self, key: str) -> bool:
        """End the force of a key that a login gave; False where it is none, which an admin made, and goes on.

        Raises:
            HubUnreachable: the hub does not answer.
        """
        return Revoked.model_validate(self._connection.ask("POST", "/auth/revoke", data={"token": key})).revoked
