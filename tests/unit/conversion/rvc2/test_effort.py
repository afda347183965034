"""Superblobs of five minutes and of 137 MB came without a word before, where one blob would have done."""

from __future__ import annotations

import pytest

from oakmill.conversion.events import Event, Kind, Progress
from oakmill.conversion.rvc2.effort import Effort
from oakmill.processes.events import ToolEvent


def told(seconds: float, workers: int, *events: ToolEvent) -> list[str]:
    """What is said when the first event comes after so many seconds."""
    seen: list[Event] = []
    times = iter([0.0, seconds])
    effort = Effort(Progress(seen.append), workers, lambda: next(times))
    for event in events:
        effort.watch(event)
    return [event.text for event in seen if event.kind is Kind.PROGRESS]


FIRST, SECOND = ToolEvent(done=1, total=16, what="8 SHAVEs"), ToolEvent(done=2, total=16, what="1 SHAVEs")


@pytest.mark.parametrize(("seconds", "workers", "words"), [(25.0, 2, "3 min"), (10.0, 2, "80 s"), (200.0, 16, "3 min")])
def test_a_superblob_that_takes_long_is_told_after_its_first_blob(seconds: float, workers: int, words: str) -> None:
    first, second = told(seconds, workers, ToolEvent(line="reading"), FIRST, SECOND)
    assert first.startswith(f"8 SHAVEs, about {words} for the superblob; ")
    assert "--blob --shaves N" in first
    assert second.startswith(f"1 SHAVEs, about {words} for the superblob; ")


@pytest.mark.parametrize(
    ("seconds", "event"), [(2.0, FIRST), (500.0, ToolEvent(done=1, total=1, what="8 SHAVEs"))], ids=["short", "a blob"]
)
def test_nothing_is_said_of_what_is_short_or_alone(seconds: float, event: ToolEvent) -> None:
    assert told(seconds, 2, event) == ["8 SHAVEs"]


@pytest.mark.parametrize(("superblob", "blob", "is_told"), [(137, 19, True), (137, 60, False), (20, 2, False)])
def test_a_superblob_that_became_large_is_told(superblob: int, blob: int, is_told: bool) -> None:
    """An LSTM of 19 MB is unrolled for each number of SHAVEs; a network of 60 MB is just large."""
    progress = Progress()
    Effort(progress, 1).tell_size(superblob * 10**6, blob * 10**6)
    assert [f"the superblob has {superblob} MB, a blob {blob} MB" in note for note in progress.notes] == [
        True
    ] * is_told


def test_a_superblob_that_takes_long_is_told_before_its_first_blob_is_done() -> None:
    """Four minutes went by in the first blob without a word: neither that it works, nor what there is to do instead."""
    beat = ToolEvent(done=0, total=16, what="8 and 1 SHAVEs at work for 5 s")
    assert told(5.0, 2, beat) == ["8 and 1 SHAVEs at work for 5 s"]  # 40 s in all
    (long,) = told(20.0, 2, beat)
    assert long.startswith("8 and 1 SHAVEs at work for 5 s, at least 3 min for the superblob; ")
    assert "--blob --shaves N" in long
    alone = ToolEvent(done=0, total=1, what="6 SHAVEs at work for 300 s")
    assert told(300.0, 2, alone) == ["6 SHAVEs at work for 300 s"]
