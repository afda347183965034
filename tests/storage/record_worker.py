"""Records what a worker of this release asks of the database, for every later release to be tried against.

python -m tests.storage.record_worker

It writes tests/storage/released/worker-REVISION.json: the database before (as SQL), and each statement of a worker's
life with its values: a job that succeeds, one that fails, and one that is given back. Once for each release.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from oakmill.jobs import queue, worker
from oakmill.jobs.notify import Notifier
from oakmill.jobs.tables import Job
from oakmill.registry import instances
from oakmill.registry.callers import LOCAL
from oakmill.settings import Settings
from oakmill.storage.database import Database
from oakmill.storage.migrate import revisions, upgrade
from oakmill.storage.stores import open_store
from tests import fakes
from tests.unit.jobs.conftest import add_source

RELEASED = Path(__file__).parent / "released"
Statement = tuple[str, list[Any]]
FAILURE = {"sentence": "it is too large", "title": "Too large", "code": "TooLarge"}


class Child:
    """Stands for the process that converts: tells what one tells, and leaves a file."""

    has_ended = False

    def __init__(self, taker: worker.Worker) -> None:
        self.taker, self.request = taker, dict[str, Any]()

    def send(self, request: Mapping[str, Any]) -> None:
        self.request = dict(request)

    def follow(
        self, hear: Callable[[Any], None], say: Callable[[str], None], look: Callable[[], None], wake: object
    ) -> Mapping[str, Any]:
        for kind in ("started", "progress", "log", "finished"):
            hear({"stage": "compile", "kind": kind, "text": "compiling", "done": 1, "total": 2, "seconds": 0.1})
        say("the tool says this")
        if self.request["spec"]["name"] == "returned":
            self.taker.stopping = True
            look()
        if self.request["spec"]["name"] == "fails":
            return {"failure": FAILURE}
        Path(self.request["folder"], "out", "small.blob").write_bytes(b"blob")
        return {"result": {"files": ["small.blob"], "verdict": "ok", "passport": {}}}

    def stop(self, grace: float = 0) -> None:
        """There is nothing to end."""


def record() -> dict[str, Any]:
    """The database before a worker's life, and all that it asks."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        settings.hub.mkdir(parents=True)
        with closing(Database.of(settings)) as db:
            upgrade(db)
            _ask(db, settings)
            with closing(sqlite3.connect(settings.hub / "hub.sqlite")) as plain:
                before = list(plain.iterdump())
            with _recording(db) as statements:
                _live(db, settings)
    return {"revision": revisions()[-1], "before": before, "statements": statements}


def _ask(db: Database, settings: Settings) -> None:
    """Three jobs, as `submit` leaves them."""
    source = settings.home / "small.onnx"
    source.write_bytes(b"onnx")
    blobs = open_store(settings)
    stored = blobs.put_file(source)
    with db.session() as session:
        blobs.record(session, stored)
        add_source(session, stored.sha256)
    for name in ("succeeds", "fails", "returned"):
        with db.session() as session:
            job = Job(id=f"aij_{name}", name=name, team_id="ait_1", source_id="aimi_1", platform="rvc2")
            job.spec = {"platform": "rvc2", "name": name}
            queue.add(session, job)
            result = instances.create(
                session, LOCAL, "aimw_1", name=name, model_type="RVC2", parent_id="aimi_1", job_id=job.id
            )
            job.result_id = result.id


def _live(db: Database, settings: Settings) -> None:
    notifier = Notifier.of(settings, db)
    taker = worker.Worker(settings, db, open_store(settings), notifier)
    with patch.object(taker, "_children", fakes.Children(partial(Child, taker))):
        taker.run()
    notifier.close()


@contextmanager
def _recording(db: Database) -> Iterator[list[Statement]]:
    statements: list[Statement] = []

    def note(connection: object, cursor: object, statement: str, values: Any, context: object, many: bool) -> None:
        if not statement.startswith("begin"):  # they are tried one by one
            statements.extend((statement, list(row)) for row in (values if many else [values]))

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


if __name__ == "__main__":
    found = record()
    RELEASED.mkdir(exist_ok=True)
    path = RELEASED / f"worker-{found['revision']}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{path}: {len(found['statements'])} statements")
