"""The bell: heard at once by threads, tasks and other processes, after the commit and not before."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.jobs.notify import Bell, Sockets, ring_at_commit
from tests.unit.jobs.conftest import Hub


@pytest.fixture
def bell(hub: Hub) -> Iterator[Bell]:
    bell = Bell.of(hub.settings, hub.db)
    yield bell
    bell.close()


def test_a_ring_is_heard_at_once_by_its_topic_only(bell: Bell) -> None:
    with bell.listening("queue") as queue, bell.listening("job:1") as job:
        settle(queue, job)
        threading.Timer(0.05, bell.ring, ["queue"]).start()
        assert queue.wait(10)
        assert not job.wait(0.05)


def settle(*ears: object) -> None:
    """The first thing that is heard is that the bell has begun to listen."""
    for ear in ears:
        ear.wait(1)  # type: ignore[attr-defined]


def test_a_task_hears_it_too_and_a_ring_before_it_waits_is_kept(bell: Bell) -> None:
    async def listen() -> tuple[bool, bool, bool]:
        with bell.listening("job:1") as ear:
            await ear.heard(1)
            bell.ring("job:1")
            first = await ear.heard(2)
            asyncio.get_running_loop().call_later(0.05, bell.ring, "job:1")
            second = await ear.heard(2)
            return first, second, await ear.heard(0.05)

    assert asyncio.run(listen()) == (True, True, False)


def test_it_rings_at_the_commit_and_not_when_it_fails(hub: Hub, bell: Bell) -> None:
    with bell.listening("job:1") as ear:
        settle(ear)
        with pytest.raises(ValueError, match="undone"), hub.db.session() as session:
            ring_at_commit(session, "job:1")
            raise ValueError("undone")
        assert not ear.wait(0.05)
        with hub.db.session() as session:
            ring_at_commit(session, "job:1")
            assert not ear.wait(0.05)
        assert ear.wait(2)


def test_another_process_is_heard(hub: Hub, bell: Bell) -> None:
    with bell.listening("job:1") as ear:
        settle(ear)
        child = multiprocessing.get_context("spawn").Process(target=_ring, args=(hub.settings.hub / "bells",))
        child.start()
        assert ear.wait(20)
        child.join()


def _ring(folder: Path) -> None:
    Sockets(folder).ring("job:1")


def test_a_socket_that_nobody_reads_is_removed_and_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    dead = Sockets(folder)
    receiving = dead.receive()
    next(receiving)
    assert dead._receiver
    dead._receiver.close()
    assert list(folder.iterdir())
    alive = Sockets(folder)
    alive.ring("queue")
    assert not list(folder.iterdir())
    alive.close()
    dead.close()
