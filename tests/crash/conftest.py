"""A hub on SQLite and on PostgreSQL whose workers are real processes, and a source that takes seconds to convert."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sqlalchemy import update

from oakmill.jobs import queue, submit
from oakmill.jobs.executors.local import start_worker
from oakmill.jobs.notify import Notifier, job_topic
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.callers import LOCAL
from oakmill.registry.tables import Instance
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec
from oakmill.storage.database import Base, Database
from oakmill.storage.stores import open_store
from tests.conversion.makers import conv_model, saved
from tests.tools import link_toolchains
from tests.unit.jobs.conftest import add_source

LEASE = 8.0  # a loaded machine lets a beat wait for seconds
PATIENCE = 240.0
"""Seconds for what happens by itself: a bound for what never comes, not a promise of speed; machines may be loaded."""
LONG = 60  # convolutions: some seconds of compiling
ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


def blob(shaves: int) -> Rvc2Spec:
    """Seconds of compiling, and little else: two images measure it."""
    return Rvc2Spec(blob=True, number_of_shaves=shaves, max_verification_images=2)


@dataclass
class Hub:
    settings: Settings
    db: Database
    notifier: Notifier
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def worker(self, *arguments: str, **changes: Any) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        self.workers.append(start_worker(self.settings.model_copy(update=changes), *arguments))
        return self.workers[-1]

    def ask(self, **options: Any) -> Job:
        spec = options.pop("spec", None) or blob(4)
        with self.db.session() as session:
            source = session.get_one(Instance, "aimi_1")
            return submit.request(session, LOCAL, source, spec, settings=self.settings, **options)

    def job(self, job: Job) -> Job:
        with self.db.reading() as session:
            return session.get_one(Job, job.id)

    def cancel(self, job: Job) -> None:
        with self.db.session() as session:
            queue.cancel(session, job.id)

    def wait(self, job: Job, until: Callable[[Job], bool], seconds: float = PATIENCE) -> Job:
        """The job as it is when that holds."""
        deadline = time.monotonic() + seconds
        with self.notifier.subscribe(job_topic(job.id)) as subscription:
            while not until(found := self.job(job)):
                late = time.monotonic() > deadline or found.status in ENDED
                assert not late, (found.status, found.stages, found.error, found.failure)
                subscription.wait(0.2)
        return found

    def ended(self, job: Job) -> Job:
        return self.wait(job, lambda found: found.status in ENDED)

    def compiling(self, job: Job) -> Job:
        return self.wait(job, lambda found: bool(found.stages) and found.stages[-1]["name"] == "compile")

    def freeze(self, worker: subprocess.Popen[bytes]) -> None:
        """Stop it where it is in no commit: SQLite's lock is one for all, and who is stopped with it keeps it."""
        with self.db.session() as session:
            session.execute(update(Job).where(Job.id == "").values(name=""))
            worker.send_signal(signal.SIGSTOP)

    def processes(self, job: Job) -> list[int]:
        """The living processes that work in the job's folder, sandboxed tools among them."""
        return [pid for pid in living() if job.id in command_line(pid) or job.id in working_folder(pid)]


def living() -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if state(pid) not in ("Z", "")]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def working_folder(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)  # to look at all processes takes a while itself
    return condition()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


@pytest.fixture
def hub(tmp_path: Path, database: str | None) -> Iterator[Hub]:
    """The hub; its source takes some seconds to compile."""
    with made_hub(tmp_path, database) as hub:
        yield hub


@contextmanager
def made_hub(folder: Path, database: str | None, source: Path | None = None, **store: Any) -> Iterator[Hub]:
    """A hub in that folder, by default of a source that takes seconds to compile; its workers end with the block."""
    (folder / "home").mkdir()
    link_toolchains(folder / "home")
    settings = Settings(home=folder / "home", database=database, lease_seconds=LEASE, beat_seconds=0.5, **store)
    settings.hub.mkdir()
    db = Database(database or f"sqlite:///{settings.hub / 'hub.sqlite'}")
    Base.metadata.create_all(db.engine)
    stored = open_store(settings).put_file(source or source_file(folder))
    with db.session() as session:
        add_source(session, stored.sha256)
    hub = Hub(settings, db, Notifier.of(settings, db))
    yield hub
    for worker in hub.workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGCONT)
            worker.terminate()
    for worker in hub.workers:
        worker.wait(PATIENCE)
    hub.notifier.close()
    db.close()


def source_file(folder: Path, *, layers: int = LONG, size: int = 224) -> Path:
    """A model that takes some seconds to compile."""
    model = conv_model(shape=(1, 3, size, size))
    del model.graph.node[1:]
    before = "features"
    for index in range(layers):
        node = onnx.helper.make_node("Conv", [before, "deep"], [f"x{index}"], f"c{index}", pads=[1, 1, 1, 1])
        model.graph.node.append(node)
        before = f"x{index}"
    model.graph.node.append(onnx.helper.make_node("Relu", [before], ["scores"], "last"))
    deep = np.random.default_rng(0).standard_normal((4, 4, 3, 3)).astype(np.float32) * 0.01
    deep[:, :, 1, 1] += np.eye(4, dtype=np.float32)  # however many there are, numbers stay within FP16
    model.graph.initializer.append(onnx.numpy_helper.from_array(deep, "deep"))
    return saved(model, folder / "deep.onnx")
