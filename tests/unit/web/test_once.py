"""What is shown once travels as safely as a session does."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.registry import keys, teams
from oakmill.server.app import create
from oakmill.settings import Settings
from tests.api.conftest import TestClient


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_new_key_is_shown_over_https_alone_where_the_hub_is(tmp_path: Path, scheme: str) -> None:
    """A hub by https gave a new key a cookie of a minute that the browser sends by http too, where anybody reads it."""
    app = create(Settings(home=tmp_path / "home"))
    origin = f"{scheme}://testserver"
    with TestClient(app, base_url=origin, follow_redirects=False) as client:
        with app.state.hub.db.session() as session:
            _, raw = keys.create(session, teams.create(session, name="Ours"), name="first", scopes=["admin"])
        for path, form in (("/session", {"key": raw}), ("/keys", {"name": "brief", "scope": "read"})):
            answer = client.post(path, data=form, headers={"Origin": origin})
            assert answer.status_code == 303, answer.text
            flags = {flag.strip().lower() for flag in answer.headers["set-cookie"].split(";")}
            assert {"httponly", "samesite=strict"} <= flags, path
            assert ("secure" in flags) == (scheme == "https"), path
