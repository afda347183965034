from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial

import pytest

from oakmill.calibration.feed import in_order, prefetched


def readers() -> int:
    return sum(thread.name.startswith("oakmill-feed") for thread in threading.enumerate())


def test_items_come_in_order_however_long_each_takes() -> None:
    def read(index: int) -> int:
        time.sleep(0.02 if index % 3 == 0 else 0)
        return index

    assert list(prefetched(read, 20, threads=4, ahead=6)) == list(range(20))
    assert list(prefetched(read, 0, threads=4, ahead=6)) == []
    assert list(prefetched(read, 3, threads=0, ahead=0)) == [0, 1, 2]


def test_several_are_read_at_once() -> None:
    meeting = threading.Barrier(3, timeout=60)
    assert len(list(prefetched(lambda index: meeting.wait(), 9, threads=3, ahead=4))) == 9


def test_no_more_is_read_ahead_than_allowed() -> None:
    begun: list[int] = []

    def read(index: int) -> int:
        begun.append(index)
        return index

    for place, _ in enumerate(prefetched(read, 50, threads=4, ahead=5)):
        time.sleep(0.002)
        assert len(begun) <= place + 5


def test_an_error_comes_when_its_turn_comes_and_ends_the_threads() -> None:
    def read(index: int) -> int:
        if index == 3:
            raise ValueError("the fourth")
        return index

    items = prefetched(read, 10, threads=4, ahead=8)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(items)
    assert not readers()


def test_the_threads_end_when_nobody_wants_more() -> None:
    items = prefetched(lambda index: index, 10**9, threads=3, ahead=4)
    assert next(items) == 0
    assert readers()
    assert isinstance(items, Generator)
    items.close()
    assert not readers()


def test_tasks_are_drawn_as_there_is_room() -> None:
    drawn = []

    def tasks() -> Iterator[Callable[[], int]]:
        for index in range(10):
            drawn.append(index)
            yield partial(int, index)

    results = in_order(tasks(), threads=1, ahead=2)
    assert next(results) == 0
    assert drawn == [0, 1]
    assert list(results) == list(range(1, 10))


def test_control_c_ends_the_program() -> None:
    program = """if True:
        import time
        from oakmill.calibration.feed import prefetched
        for item in prefetched(lambda index: time.sleep(0.05) or index, 10**6, threads=2, ahead=4):
            if item == 0:
                print("running", flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=240)
    assert b"KeyboardInterrupt" in errors
    assert process.returncode
