"""The notifier: wakes at once threads, tasks and other processes, after the commit and not before."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.jobs.notify import FOLDER, Notifier, SocketCarrier, Subscription, notify_at_commit
from tests.unit.jobs.conftest import Hub


@pytest.fixture
def notifier(hub: Hub) -> Iterator[Notifier]:
    notifier = Notifier.of(hub.settings, hub.db)
    yield notifier
    notifier.close()


def test_a_notification_wakes_its_own_topic_only_and_at_once(notifier: Notifier) -> None:
    with notifier.subscribe("queue") as queue, notifier.subscribe("job:1") as job:
        settle(queue, job)
        threading.Timer(0.05, notifier.notify, ["queue"]).start()
        assert queue.wait(120)
        assert not job.wait(0.05)


def settle(*subscriptions: object) -> None:
    """The first thing that wakes is that the notifier has begun to receive."""
    for subscription in subscriptions:
        subscription.wait(120)  # type: ignore[attr-defined]


def test_a_task_is_woken_too_and_a_notification_before_it_waits_is_kept(notifier: Notifier) -> None:
    async def listen() -> tuple[bool, bool, bool]:
        with notifier.subscribe("job:1") as subscription:
            await subscription.wait_async(1)
            notifier.notify("job:1")
            first = await subscription.wait_async(2)
            asyncio.get_running_loop().call_later(0.05, notifier.notify, "job:1")
            second = await subscription.wait_async(2)
            return first, second, await subscription.wait_async(0.05)

    assert asyncio.run(listen()) == (True, True, False)


def test_it_notifies_at_the_commit_and_not_when_it_fails(hub: Hub, notifier: Notifier) -> None:
    with notifier.subscribe("job:1") as subscription:
        settle(subscription)
        with pytest.raises(ValueError, match="undone"), hub.db.session() as session:
            notify_at_commit(session, "job:1")
            raise ValueError("undone")
        assert not subscription.wait(0.05)
        with hub.db.session() as session:
            notify_at_commit(session, "job:1")
            assert not subscription.wait(0.05)
        assert subscription.wait(120)


def test_another_process_wakes_us(hub: Hub, notifier: Notifier) -> None:
    with notifier.subscribe("job:1") as subscription:
        settle(subscription)
        child = multiprocessing.get_context("spawn").Process(target=_send, args=(hub.settings.hub / FOLDER,))
        child.start()
        assert subscription.wait(120)
        child.join()


def _send(folder: Path) -> None:
    SocketCarrier(folder).send("job:1")


def test_a_socket_that_nobody_reads_is_removed_and_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    dead = SocketCarrier(folder)
    receiving = dead.receive()
    next(receiving)
    assert dead._receiver
    dead._receiver.close()
    assert list(folder.iterdir())
    alive = SocketCarrier(folder)
    alive.send("queue")
    assert not list(folder.iterdir())
    alive.close()
    dead.close()


def test_a_process_with_many_files_open_is_woken_too() -> None:
    """Beyond 1,024 open files the thread that keeps a job's lease ended with "filedescriptor out of range"."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this machine opens no 2,048 files")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        subscription = Subscription()
        assert subscription.fileno() > 1024
        assert not subscription.wait(0.01)
        subscription.wake()
        assert subscription.wait(1)
        subscription.close()
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
