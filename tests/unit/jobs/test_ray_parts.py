"""Parts of a conversion that are done elsewhere: from the job's process over its socket to tasks, and back."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oakmill.jobs.executors.ray_parts import Desk, on_this_machine, run_part
from oakmill.jobs.helped import Elsewhere
from oakmill.processes.parts_socket import Asking, pair
from oakmill.toolchains import helpers
from oakmill.toolchains.helpers import Part


class LostError(Exception):
    """As ray.exceptions.RayError: a node has died for good, or the object store is full."""


@dataclass
class Ray:
    """What is used of the module ray, done at once in this process."""

    cores: float = 2.0
    loses: bool = False
    seen: list[bytes] = field(default_factory=list)
    exceptions = SimpleNamespace(RayError=LostError)

    def available_resources(self) -> dict[str, float]:
        return {"CPU": self.cores} if self.cores else {}

    def remote(self, function: object) -> Ray:
        assert function is run_part
        ray = self

        class Remote:
            def options(self, **_: Any) -> Remote:
                return self

            def remote(self, work: str, request: Mapping[str, Any], data: bytes, environment: object) -> Any:
                ray.seen.append(data)
                return {"work": work, **request}, b"made of " + data

        return Remote()  # type: ignore[return-value]

    def put(self, data: bytes) -> bytes:
        return data

    def wait(self, tasks: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return tasks[:1], tasks[1:]

    def get(self, tasks: list[Any]) -> list[Any]:
        if self.loses:
            raise LostError("the object store is full")
        return tasks


@pytest.fixture
def ray() -> Ray:
    return Ray()


@pytest.fixture
def elsewhere(ray: Ray) -> Iterator[Elsewhere]:
    """The job's end; at the other one is a desk, for as long as a worker lives."""
    desk, asking = pair()
    worker = subprocess.Popen(["/bin/sleep", "60"])
    thread = threading.Thread(target=Desk(ray, desk, {}).serve, args=(worker,))
    thread.start()
    asked = Asking(asking.detach())
    yield Elsewhere(asked)
    asked.close()
    worker.kill()
    worker.wait()
    thread.join(120)
    assert not thread.is_alive()
    desk.close()


def parts(folder: Path) -> list[Part]:
    source = folder / "model"
    source.write_bytes(b"model")
    return [Part("work", {"only": [number]}, source, folder / f"part-{number}") for number in (1, 2)]


def test_parts_are_done_elsewhere_and_their_files_come_back(elsewhere: Elsewhere, ray: Ray, tmp_path: Path) -> None:
    told: list[int] = []
    assert elsewhere.free() == 2 + 1, "the task's own core is lent meanwhile"
    answers = elsewhere.do(parts(tmp_path), told.append)
    assert answers == [{"work": "work", "only": [1]}, {"work": "work", "only": [2]}]
    assert (tmp_path / "part-2").read_bytes() == b"made of model"
    assert told == [1, 2]


def test_a_busy_cluster_is_left_alone(elsewhere: Elsewhere, ray: Ray) -> None:
    """What waits for other jobs saves no time, and parts cost more than the whole."""
    ray.cores = 0.0
    assert elsewhere.free() == 0


def test_what_is_lost_elsewhere_is_the_jobs_own_to_do(elsewhere: Elsewhere, ray: Ray, tmp_path: Path) -> None:
    """A node that dies for good, or a full object store, was the job's failure."""
    ray.loses = True
    assert elsewhere.do(parts(tmp_path), lambda count: None) is None
    ray.loses = False
    assert elsewhere.free() == 3, "the desk goes on"


def test_what_a_job_that_was_ended_had_asked_for_is_not_the_next_ones_answer(
    request: pytest.FixtureRequest,
) -> None:
    desk, asking = pair()
    with desk:
        asked = Asking(asking.detach())
        request.addfinalizer(asked.close)
        asked.ask({"ask": "free"})
        old = desk.recv(1000)
        desk.send(old.replace(b"ask", b"free").replace(b'"free"}', b"9}"))
        asked.ask({"ask": "free"})
        desk.send(desk.recv(1000).replace(b'"ask": "free"', b'"free": 1'))
        assert asked.heard()["free"] == 1


def test_a_descriptor_that_is_no_file_is_not_read(elsewhere: Elsewhere, ray: Ray, tmp_path: Path) -> None:
    """A pipe that nobody writes to would hold the desk for good; a hostile model's process may send one."""
    reading, writing = os.pipe()
    (tmp_path / "pipe").symlink_to(f"/proc/self/fd/{reading}")
    found = elsewhere.do([Part("work", {}, tmp_path / "pipe", tmp_path / "part")], lambda count: None)
    assert found is None and not ray.seen
    os.close(reading)
    os.close(writing)


def test_nobody_to_ask_is_no_failure() -> None:
    desk, asking = pair()
    desk.close()
    asked = Asking(asking.detach())
    lonely = Elsewhere(asked)
    assert lonely.free() == 0 and lonely.do([], lambda count: None) is None
    asked.close()
    assert helpers.free() == 0 and helpers.done([], lambda count: None) is None


def test_a_machines_own_home_counts_there(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"OAKMILL_HOME": "/hub", "OAKMILL_STORE": "s3://b"}
    monkeypatch.delenv("OAKMILL_HOME", raising=False)
    assert on_this_machine(given) == given
    monkeypatch.setenv("OAKMILL_HOME", "/own")
    assert on_this_machine(given) == {"OAKMILL_STORE": "s3://b"}


def test_what_is_asked_for_may_be_no_name_of_a_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAKMILL_HOME", str(tmp_path))
    with pytest.raises(KeyError):
        run_part("os.system", {}, b"", {})
