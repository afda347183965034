"""Library code that never ends on some model held a worker for as long as its job may take."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from oakmill.processes import deadline
from oakmill.processes.deadline import ended_by, watched, within


def spin(swallowed: list[str]) -> None:
    """A loop that ends by nothing, and takes the first error for its own."""
    while True:
        try:
            time.sleep(0.01)
        except TimeoutError as error:
            if swallowed:
                raise
            swallowed.append(str(error))


def test_a_loop_without_end_is_ended_also_where_it_goes_on_once() -> None:
    swallowed: list[str] = []
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"not done after 0\.1 s"), within(0.1):
        spin(swallowed)
    assert swallowed
    assert time.monotonic() - began < 10


def test_what_ends_in_time_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    with within(60):
        pass
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0) == before


def test_an_alarm_around_it_goes_on() -> None:
    with pytest.raises(TimeoutError, match=r"not done after 0\.3 s"), within(0.3):
        with within(60):
            time.sleep(0.01)
        spin(["already"])


def test_in_another_thread_nothing_happens() -> None:
    done: list[bool] = []

    def work() -> None:
        with within(0.01):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_native_code_that_does_not_come_back_is_told_of() -> None:
    """A graph on which onnxruntime hangs held the command line for ever: no alarm interrupts what does not return."""
    told: list[tuple[str, float]] = []
    over = threading.Event()

    def stuck(what: str, seconds: float) -> None:
        told.append((what, seconds))
        over.set()

    with ended_by(stuck):
        with watched("a run", 0.05):
            assert over.wait(60)
        with watched("a short one", 60):
            pass
    with watched("one without anybody to tell", 0.01):
        time.sleep(0.05)
    assert told == [("a run", 0.05)]


def test_an_alarm_that_cannot_be_heard_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm's exception waits for native code to return; the grace is over before."""
    monkeypatch.setattr(deadline, "GRACE", 0.0)
    told: list[str] = []
    with pytest.raises(TimeoutError), ended_by(lambda what, seconds: told.append(what)), within(0.05, "a loop"):
        spin([])
    assert told == ["a loop"]
