"""A database of the very first revision, with rows, is brought up to date by the command line, and serves."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from alembic import command
from sqlalchemy import text

from oakmill.client import Hub
from oakmill.storage import migrate
from oakmill.storage.database import Database, now
from tests.client.conftest import Shell
from tests.hub_servers import ServedHub

ROWS = (
    "insert into blobs (sha256, size, created) values ('{sha}', 3, :now)",
    "insert into uploads (id, team_id, name, size, max_size, offset, sha256, status, purpose, created, updated, "
    "expires) values ('aiu_1', 'ait_1', 'net.onnx', 3, 3, 3, '{sha}', 'complete', '{{}}', :now, :now, :later)",
)


def test_the_first_revision_with_rows_becomes_the_last(tmp_path: Path, shell: Shell) -> None:
    path = tmp_path / "home" / "hub" / "hub.sqlite"
    path.parent.mkdir(parents=True)
    first(path)
    shell.run("keys", "list", home=tmp_path / "home")
    with closing(Database.at(path)) as db:
        assert migrate.is_current(db)
        with db.reading() as session:
            assert session.execute(text("select name, sha256 from uploads")).all() == [("net.onnx", "a" * 64)]
            assert session.execute(text("select size from blobs")).scalars().all() == [3]
    with ServedHub(tmp_path / "home") as serving, Hub(serving.url, serving.key) as hub:
        assert hub.me().team.slug == "default"


def first(path: Path) -> None:
    """Make a database as the first Oakmill would have left it."""
    with closing(Database.at(path)) as db:
        config = migrate._config()
        with db.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        with db.engine.begin() as connection:
            moment = now()
            for row in ROWS:
                values = {"now": moment, "later": moment + timedelta(days=1)}
                used = {name: f"{value:%Y-%m-%d %H:%M:%S}" for name, value in values.items() if f":{name}" in row}
                connection.execute(text(row.format(sha="a" * 64)), used)
