"""Who a request comes from is what its connection says, unless the operator trusts a proxy's word."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request

from oakmill.server.answering import WebServer
from oakmill.settings import Settings


@pytest.mark.parametrize(
    ("trusted", "seen"), [("", "127.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("127.0.0.0/8", "1.2.3.4")]
)
def test_a_clients_address_is_a_trusted_proxys_word_alone(trusted: str, seen: str) -> None:
    """Whoever could reach the hub from its own machine could say that somebody else had failed to sign in."""
    app = FastAPI()
    app.state.settings = Settings(trusted_proxies=trusted)

    @app.get("/")
    def who(request: Request) -> str:
        return request.client.host if request.client else ""

    config = WebServer(app, ready=-1).config
    config.load()

    async def ask() -> str:
        transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return str((await client.get("/", headers={"X-Forwarded-For": "1.2.3.4"})).json())

    assert asyncio.run(ask()) == seen
