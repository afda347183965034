"""Ends what runs in this process and may never come to an end: libraries' Python code on users' models."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_AGAIN = 1.0
"""Seconds after which it is raised once more, where the code took it for an error of its own and went on."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError within the block where it is not done by then.

    The alarm is the process's, so that it works in the main thread, in which conversions run; in others nothing
    happens. Native code is not interrupted before it returns; a hub's worker ends that by the time of the whole job.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"it was not done after {seconds:g} s")

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, expire)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm goes on
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001), interval)
