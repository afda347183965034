"""The store of files goes away while a job is being published: its work is kept, and nobody is told where it was."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from oakmill.jobs import job_log, worker
from oakmill.jobs.tables import JobStatus
from oakmill.settings import Settings
from tests import fakes
from tests.unit.jobs.conftest import Hub, add_source
from tests.unit.jobs.conftest import hub as hub_here
from tests.unit.jobs.test_worker import Workshop

__all__ = ["add_source", "hub_here"]


class Door:
    """The one way to a server: shut, whoever comes is refused, and whoever is there is put out."""

    def __init__(self, server: str) -> None:
        self.there = ("127.0.0.1", int(server.rpartition(":")[2]))
        self._inside: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.open(self._listener)

    def open(self, listener: socket.socket | None = None) -> None:
        self._listener = listener or socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._admit, args=[self._listener], daemon=True).start()

    def shut(self) -> None:
        for handle in (self._listener, *self._inside):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()
        self._inside = []

    def _admit(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                theirs, ours = listener.accept()[0], socket.create_connection(self.there)
                self._inside += [theirs, ours]
                for source, target in ((theirs, ours), (ours, theirs)):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for handle in (source, target):
        with suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def door(s3_server: str) -> Iterator[Door]:
    found = Door(s3_server)
    yield found
    found.shut()


@pytest.fixture
def workshop(
    hub: Hub, door: Door, s3_store: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workshop]:
    """A worker whose files lie in the bucket behind the door, which shuts when a conversion is done."""
    options = {**s3_store["store_options"], "endpoint": f"http://127.0.0.1:{door.port}"}
    hub.settings = Settings(home=hub.settings.home, store=s3_store["store"], store_options=options)

    class Child(fakes.Child):
        def follow(self, *rest: Any, **more: Any) -> Any:
            message = super().follow(*rest, **more)
            door.shut()
            return message

    monkeypatch.setattr(worker, "Children", lambda: fakes.Children(Child))
    with fakes.toys():
        yield Workshop(hub, tmp_path)


@pytest.fixture
def hub(hub_here: Hub) -> Iterator[Hub]:
    with closing(hub_here.db):
        yield hub_here


def test_a_result_waits_for_the_store(workshop: Workshop, door: Door) -> None:
    """The finished job failed within 8 s, and its result was thrown away."""
    opener = threading.Timer(12, door.open)
    opener.start()
    job = workshop.done(paint=3)
    opener.join()
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1), job.failure


def test_an_attempt_that_waited_too_long_is_given_back_with_its_work_kept(
    workshop: Workshop, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It failed, and its words told tenants the endpoint and what its server had said."""
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 0.0)
    job = workshop.done(paint=4)
    assert (job.status, job.attempt, job.error) == (JobStatus.QUEUED, 0, None)
    with workshop.hub.db.reading() as session:
        said = "\n".join(line.text for line in job_log.read(session, job.id))
    assert "store of files is away" in said
    assert "127.0.0.1" not in said and "s3://" not in said and str(door.port) not in said
    made = list(fakes.Toy.ran)
    door.open()
    monkeypatch.setattr(workshop.worker, "_children", fakes.Children())
    assert workshop.worker.run_once()
    done = workshop.hub.job(job.id)
    assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 1), done.failure
    assert fakes.Toy.ran == made, "it was converted again"
