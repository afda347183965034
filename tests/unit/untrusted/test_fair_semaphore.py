"""One slow file once held up every other upload of the hub for the minute that a look may take."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from oakmill.errors import Unavailable
from oakmill.untrusted.fair_semaphore import FairSemaphore

PATIENCE = 60.0


class Taker(threading.Thread):
    """Takes a slot, and keeps it until it is let go."""

    def __init__(self, semaphore: FairSemaphore, owner: str) -> None:
        super().__init__(daemon=True)
        self.semaphore, self.owner = semaphore, owner
        self.has, self.let_go = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self.semaphore.slot(self.owner):
            self.has.set()
            self.let_go.wait(PATIENCE)


def test_an_owner_with_many_slow_files_leaves_a_slot_for_others() -> None:
    semaphore = FairSemaphore(at_once=3, waiting=10)
    slow = [Taker(semaphore, "slow") for _ in range(2)]
    assert all(taker.has.wait(PATIENCE) for taker in slow)
    third = Taker(semaphore, "slow")
    other = Taker(semaphore, "other")
    assert other.has.wait(PATIENCE)
    assert not third.has.is_set()
    other.let_go.set()
    slow[0].let_go.set()
    assert third.has.wait(PATIENCE)
    for taker in (*slow, third):
        taker.let_go.set()
        taker.join(PATIENCE)


def test_who_would_wait_too_long_or_behind_too_many_is_told_to_come_again() -> None:
    with ExitStack() as stack:
        semaphore = FairSemaphore(at_once=1, waiting=1, seconds=0.01)
        stack.enter_context(semaphore.slot("first"))
        with pytest.raises(Unavailable) as late, semaphore.slot("second"):
            pass
        assert "again" in late.value.remedy
        full = FairSemaphore(at_once=1, waiting=0)
        with pytest.raises(Unavailable), full.slot("first"):
            pass


def test_a_slot_comes_free_whatever_happens_in_it() -> None:
    semaphore = FairSemaphore(at_once=1, waiting=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), semaphore.slot("one"):
            raise ValueError("broken")
