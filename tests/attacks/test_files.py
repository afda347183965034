"""Other users of the machine read nothing of a hub, whatever its umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.hub.state import Hub
from oakmill.settings import Settings
from oakmill.storage.migrate import upgrade

pytestmark = pytest.mark.heavy


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("there", [False, True])
def test_a_hub_is_its_owners_alone(tmp_path: Path, careless: None, there: bool) -> None:
    """With an open umask the database, its keys' hashes and uploads on their way could be read, even written."""
    settings = Settings(home=tmp_path / "home")
    if there:  # as versions before left it
        settings.hub.mkdir(parents=True)
        (settings.hub / "uploads").mkdir()
        (settings.hub / "hub.sqlite").touch(0o666)
    hub = Hub(settings)
    upgrade(hub.db)
    hub.close()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (settings.hub, *settings.hub.iterdir())}
    assert modes["hub"] == modes["uploads"] == 0o700
    assert {mode for name, mode in modes.items() if name.startswith(("hub.sqlite", "secret"))} == {0o600}
