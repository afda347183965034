"""What these tests have besides: a PostgreSQL of their own."""

from __future__ import annotations

from tests.hub_servers import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
