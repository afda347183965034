"""Does work ahead in threads and hands it over in order, so that who needs it waits as little as possible."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def prefetched(read: Callable[[int], T], count: int, *, threads: int, ahead: int) -> Iterator[T]:
    """Yield read(0) to read(count - 1) in this order, read in threads before they are asked for.

    Args:
        read: called in the threads; it should leave Python's lock while it works, as Pillow, numpy and
            onnxruntime do.
        count: how many.
        threads: how many are read at once.
        ahead: how many may be read or being read and not yet handed over: the bound of memory.

    Raises:
        Exception: what `read` raised, when the turn of that item comes; nothing is read after that.
    """
    return in_order((partial(read, index) for index in range(count)), threads=threads, ahead=ahead)


def in_order(tasks: Iterable[Callable[[], T]], *, threads: int, ahead: int) -> Iterator[T]:
    """Yield the results of the tasks in their order; see `prefetched`.

    The tasks themselves are drawn in the caller's thread, each when there is room for it. The threads have ended
    when the last result is out, an error is raised, or the caller closes the iterator or is interrupted.
    """
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="oakmill-feed")
    try:
        for task in tasks:
            pending.append(pool.submit(task))
            if len(pending) >= max(1, ahead):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
