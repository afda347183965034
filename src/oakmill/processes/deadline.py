"""Ends what runs in this process and may never come to an end: libraries' code, Python and native, on users' models."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Stuck = Callable[[str, float], None]
"""(what, after how many seconds): called in another thread where native code has not come back."""

GRACE = 60.0
"""Seconds for native code to come back, and be interrupted by the alarm, after its time is over."""
LONGEST = 1800
"""Seconds for one call of native code: as long as one run of a vendor's tool may take by default."""
_AGAIN = 1.0
"""Seconds after which it is raised once more, where the code took it for an error of its own and went on."""
_stuck: Stuck | None = None


@contextmanager
def ended_by(stuck: Stuck) -> Iterator[None]:
    """Have `stuck` called where native code within the block hangs: it can only be ended with its process.

    A hub's worker needs none: it ends the job's process by the time of the whole job.
    """
    global _stuck  # noqa: PLW0603 - of the process, as the process is what ends
    before, _stuck = _stuck, stuck
    try:
        yield
    finally:
        _stuck = before


@contextmanager
def watched(what: str, seconds: float = LONGEST) -> Iterator[None]:
    """Look after native code, which no alarm interrupts: it is waited for so long, and longer without `ended_by`.

    This takes that the code lets other threads run, as onnxruntime does.
    """
    if _stuck is None:
        yield
        return
    timer = threading.Timer(seconds, _stuck, (what, seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def within(seconds: float, what: str = "a library's work on the model") -> Iterator[None]:
    """Raise TimeoutError within the block where it is not done by then.

    The alarm is the process's, so that it works in the main thread, in which conversions run; in others nothing
    happens. Native code is not interrupted before it returns; where it does not for `GRACE` seconds more, see
    `ended_by`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with watched(what, seconds + GRACE), _alarm(seconds):
        yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:

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
