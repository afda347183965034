"""Many clients at once.

Two hundred that polled stopped a hub for half a minute: requests that held one of the 15 connections to the database
waited for a thread, and all 40 threads waited for a connection. And the hub closed a connection after the very time for
which clients keep theirs, so that a request now and then met a connection that was just closed.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from tests.api.conftest import PATIENCE
from tests.hub_servers import ServedHub

POOLS, EACH, TIMES = 20, 10, 3


def test_two_hundred_clients_are_all_answered(server: ServedHub) -> None:
    async def ask_some() -> list[int]:
        """As many programs as there are pools: one pool of 200 connections is slow itself."""
        limits, codes = httpx.Limits(max_connections=EACH), []
        async with httpx.AsyncClient(
            headers=server.headers, timeout=PATIENCE, trust_env=False, limits=limits
        ) as client:

            async def ask() -> None:
                for _ in range(TIMES):
                    codes.append((await client.get(f"{server.url}/api/v1/models")).status_code)

            await asyncio.gather(*(ask() for _ in range(EACH)))
        return codes

    async def ask_all() -> Counter[int]:
        return Counter(code for codes in await asyncio.gather(*(ask_some() for _ in range(POOLS))) for code in codes)

    assert asyncio.run(ask_all()) == {200: POOLS * EACH * TIMES}
    assert "QueuePool" not in server.log.read_text()
