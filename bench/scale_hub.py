"""A hub of toys on PostgreSQL and an S3 server of this machine, or on SQLite, for the benches of scale."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from oakmill.jobs import submit, worker
from oakmill.jobs.notify import Notifier
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.callers import LOCAL
from oakmill.registry.tables import Instance
from oakmill.settings import Settings
from oakmill.storage.database import Base, Database
from oakmill.storage.stores import open_store

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tests import fakes, hub_servers
from tests.unit.jobs.conftest import add_source

ENVIRONMENT = os.environ  # noqa: TID251 - handed on to the processes that are started
RECORDED = "OAKMILL_BENCH_RECORDED"
"""The variable that names the folder of the recorded conversion."""
LEASE = 10.0


@dataclass
class Hub:
    """A hub's database and store, with a source."""

    settings: Settings
    db: Database
    notifier: Notifier
    most_connections: int = 0
    looks: int = 0
    """Transactions of ours, while we wait."""

    def ask(self, count: int) -> list[str]:
        """So many conversions, each another one."""
        with self.db.session() as session:
            source = session.get_one(Instance, "aimi_1")
            first = (session.scalar(select(func.max(Job.number))) or 0) * 1000
            specs = [fakes.ToySpec(seed=first + number, max_verification_images=1) for number in range(count)]
            return [submit.request(session, LOCAL, source, spec, settings=self.settings).id for spec in specs]

    def jobs(self, ids: list[str]) -> list[Job]:
        """As they stand."""
        with self.db.reading() as session:
            return list(session.scalars(select(Job).where(Job.id.in_(ids))))

    def transactions(self) -> int:
        """How many PostgreSQL has committed in this database, these looks among them."""
        return self._number("select xact_commit from pg_stat_database where datname = current_database()")

    def connections(self) -> int:
        """How many are open to this database."""
        return self._number("select count(*) from pg_stat_activity where datname = current_database()")

    def _number(self, question: str) -> int:
        with self.db.reading() as session:
            return int(session.scalar(text(question)) or 0)

    def wait(self, ids: list[str], states: tuple[JobStatus, ...], count: int) -> list[Job]:
        """Until so many of them are in one of these states."""
        while True:
            found = self.jobs(ids)
            self.most_connections = max(self.most_connections, self.connections())
            self.looks += 2
            if sum(job.status in states for job in found) >= count:
                return found
            time.sleep(0.5)


@contextmanager
def served(durable: bool = False) -> Iterator[str]:
    """PostgreSQL; the URL without the database's name."""
    folder = Path(tempfile.mkdtemp(prefix="oakmill-pg-", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    try:
        hub_servers.make_postgres(folder, user)
        with hub_servers.postgres(folder, user, durable=durable):
            yield f"postgresql+psycopg://hub@/{{name}}?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def hub(folder: Path, **more: Any) -> Iterator[Hub]:
    """A hub of toys, on PostgreSQL and S3 or as the settings say."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=folder / "home", lease_seconds=LEASE, **more)
    settings.hub.mkdir(parents=True)
    db = Database(settings.database or f"sqlite:///{settings.hub / 'hub.sqlite'}")
    Base.metadata.create_all(db.engine)
    with fakes.toys():
        fakes.Copier(settings).install()
        stored = open_store(settings).put_file(fakes.model(folder / "small.onnx"))
        with db.session() as session:
            add_source(session, stored.sha256)
        notifier = Notifier.of(settings, db)
        yield Hub(settings, db, notifier)
    notifier.close()
    db.close()


def become(child: type[fakes.Child]) -> None:
    """From now on the workers of this process run their jobs by these."""
    setattr(worker, "Children", lambda: fakes.Children(child))  # noqa: B010 - in the place of processes


def record(hub: Hub, folder: Path) -> None:
    """Make one conversion of the toy for real, and keep what it leaves and says."""

    class Recording(fakes.Child):
        def follow(self, *arguments: Any, **more: Any) -> Any:
            message = super().follow(*arguments, **more)
            shutil.copytree(Path(self._request["folder"]) / "out", folder / "out")
            (folder / "message.json").write_text(json.dumps(message))
            return message

    become(Recording)
    (job,) = hub.ask(1)
    worker.Worker(hub.settings, hub.db, open_store(hub.settings), hub.notifier).run_once(job)
    (made,) = hub.jobs([job])
    assert made.status == JobStatus.SUCCEEDED, made.failure
    ENVIRONMENT[RECORDED] = str(folder)
