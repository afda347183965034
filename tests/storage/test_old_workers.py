"""A worker of each release goes on while the hub is upgraded: what it asks is asked of today's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oakmill.storage.database import Database
from oakmill.storage.migrate import upgrade
from tests.storage.record_worker import RELEASED, record

RECORDED = sorted(RELEASED.glob("worker-*.json"))
ADDED = (
    "alter table jobs add column cost integer",
    "alter table log_lines add column level integer not null default 0",
    "create table costs (id integer primary key, job_id text references jobs (id))",
    "create index jobs_by_name on jobs (name)",
)


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def life(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


@pytest.fixture
def upgraded(life: dict[str, Any], tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database that the worker knew, with its rows, brought to today's tables."""
    path = tmp_path / "hub.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript("\n".join(life["before"]))
    with closing(Database.at(path)) as db:
        upgrade(db)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma foreign_keys=on")
        yield connection


def live(connection: sqlite3.Connection, life: dict[str, Any]) -> None:
    for statement, values in life["statements"]:
        connection.execute(statement, values).fetchall()


def require_done(connection: sqlite3.Connection) -> None:
    states = connection.execute("select name, status, attempt from jobs order by number").fetchall()
    assert states == [("succeeds", "succeeded", 1), ("fails", "failed", 1), ("returned", "queued", 0)]
    made = "select files.name from files join jobs on files.instance_id = jobs.result_id"
    assert connection.execute(made).fetchall() == [("small.blob",)]
    assert connection.execute("select count(*) from log_lines where text = 'it is too large'").fetchone() == (1,)


def test_an_old_worker_meets_todays_tables(upgraded: sqlite3.Connection, life: dict[str, Any]) -> None:
    live(upgraded, life)
    require_done(upgraded)


def test_an_old_worker_meets_tables_to_which_a_later_step_has_added(
    upgraded: sqlite3.Connection, life: dict[str, Any]
) -> None:
    for change in ADDED:
        upgraded.execute(change)
    live(upgraded, life)
    require_done(upgraded)


@pytest.mark.parametrize(
    "change",
    [
        "alter table jobs drop column progress",
        "alter table files rename to documents",
        "create unique index one_line_a_stage on log_lines (job_id, stage)",
    ],
)
def test_a_step_that_removes_would_stop_an_old_worker(
    upgraded: sqlite3.Connection, life: dict[str, Any], change: str
) -> None:
    upgraded.execute(change)
    with pytest.raises(sqlite3.Error):
        live(upgraded, life)


def test_the_recorder_still_records() -> None:
    found = record()
    tables = {statement.split()[2] for statement, _ in found["statements"] if statement.startswith("INSERT INTO")}
    assert tables == {"blobs", "files", "log_lines", "workers"}
