"""Superblobs of five minutes and of 137 MB came without a word before, where one blob would have done."""

from __future__ import annotations

import pytest
from onnx import ModelProto, TensorProto, helper

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


def network(op: str, nodes: int, megabytes: int) -> ModelProto:
    """So many nodes, and weights of float32 that are only stated."""
    weights = TensorProto(name="w", dims=[megabytes * 10**6 // 4], data_type=TensorProto.FLOAT)
    made = [helper.make_node(op, ["w"], [f"y{place}"]) for place in range(nodes)]
    return helper.make_model(helper.make_graph(made, "g", [], [], [weights]))


@pytest.mark.parametrize(
    ("op", "nodes", "megabytes", "words"),
    [
        ("Conv", 50, 44, ""),
        ("Conv", 50, 120, "a superblob of 60 to 120 MB, 1 s to 2 s"),
        ("LSTM", 5, 38, "a superblob of 19 to 133 MB"),
        ("Conv", 3000, 4, "15 s to 2 min of compiling"),
    ],
)
def test_what_to_expect_is_told_before_the_first_blob(op: str, nodes: int, megabytes: int, words: str) -> None:
    """An LSTM of 19 MB in FP16 became 137 MB, and others took five minutes: told when it was done, or half done."""
    progress = Progress()
    Effort(progress, 2).tell_expected(network(op, nodes, megabytes))
    assert [words in note and "--blob --shaves N" in note for note in progress.notes] == [True] * bool(words)
