"""How the web process answers, and how it ends.

It ends with its parent. Asked to hand over (SIGUSR1), it accepts no more, tells each connection that this was its last
answer, and is gone when the last one has closed; meanwhile its successor accepts on the same socket.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from oakmill.hub.log_lines import log_to_stderr
from oakmill.server.app import create
from oakmill.server.connections import AT_ONCE, Connection, Rarely, allow_many
from oakmill.server.parent import ALIVE_SECONDS, ENDING_SECONDS, HAND_OVER
from oakmill.settings import current

IDLE_SECONDS = 5
"""How long clients, such as httpx, keep a connection for a next request."""
KEPT_SECONDS = 20
"""How long we keep it: well beyond that, or we would close it while a request is on its way."""
HANDING_OVER_SECONDS = 1800
"""How long requests that are under way may take: when the hub ends, and when another process goes on."""


class WebServer(uvicorn.Server):
    """uvicorn, which lets its connections end by themselves when it hands over."""

    def __init__(self, app: FastAPI, ready: int) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            log_config=None,
            access_log=False,
            backlog=AT_ONCE,
            server_header=False,
            proxy_headers=bool(app.state.settings.trusted_proxies),
            forwarded_allow_ips=app.state.settings.trusted_proxies,
            timeout_keep_alive=KEPT_SECONDS,
            timeout_graceful_shutdown=ENDING_SECONDS,
        )
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._handing_over = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the parent."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(HAND_OVER, self.hand_over)
        loop.add_reader(sys.stdin, self._end_with_parent)
        self._tell_alive()
        loop.run_in_executor(None, self._app.state.hub.warm)

    def _tell_alive(self) -> None:
        """Tell the parent now and then that requests are being heard: it replaces a process that hangs."""
        with suppress(OSError):  # the parent has just ended, or reads too late
            os.write(self._ready, b"1")
        asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._tell_alive)

    def hand_over(self) -> None:
        """End, while another process goes on."""
        self._handing_over = self.should_exit = True
        self.config.timeout_graceful_shutdown = HANDING_OVER_SECONDS

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, let the connections end, then end the rest."""
        self._app.state.hub.ending.set()
        if self._handing_over:
            await self._let_go(sockets or [])
        await super().shutdown(sockets)

    async def _let_go(self, sockets: list[socket.socket]) -> None:
        """No connection is closed that may be sending a request: its next answer says that it is the last."""
        for server in self.servers:
            server.close()
        for sock in sockets:
            sock.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        deadline = time.monotonic() + IDLE_SECONDS + 1
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def _end_with_parent(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        self.should_exit = True


def made(ready: int) -> WebServer:
    """The server of the whole hub, which tells that descriptor that it answers."""
    log_to_stderr(current().log_format)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # What they say of connections strangers cause; uvicorn's errors are ours.
    logging.getLogger("uvicorn.error").addFilter(Rarely(below=logging.ERROR))
    logging.getLogger("asyncio").addFilter(Rarely(below=logging.CRITICAL))
    Connection.most = allow_many()
    return WebServer(create(current()), ready)


def answer(server: WebServer, listener: int) -> None:
    """Answer on the socket of that descriptor until asked to end."""
    server.run([socket.socket(fileno=listener)])
