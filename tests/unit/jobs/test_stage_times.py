"""How far a running job is, and what is left of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from oakmill.jobs import stage_times
from oakmill.jobs.job_log_writer import Held, JobLogWriter
from oakmill.jobs.stage_times import NEARLY, Past, Usual, place

STAGES = {"inspect": 1.0, "prepare": 4.0, "compile": 60.0, "verify": 30.0}


def done(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "status": "done", "seconds": STAGES[name]} for name in names]


def running(name: str, *phases: tuple[float, float]) -> dict[str, Any]:
    return {"name": name, "status": "running", "seconds": 0.0, "phases": [list(item) for item in phases]}


def past(seconds: float = 1.0, size: int | None = None) -> Past:
    stages = [{"name": name, "status": "done", "seconds": seconds * took} for name, took in STAGES.items()]
    stages[2]["phases"] = [[6.0 * seconds, 54.0 * seconds]]
    return Past(stages, seconds * 100.0, size)


def usual() -> Usual:
    found = stage_times.usual([past(), past()], None)
    assert found
    return found


def test_a_compile_at_its_first_step_of_16_is_not_nearly_done() -> None:
    """A job was 99 % done by its time at "1 of 16", as it took longer than the last one; then it stood there."""
    stages = [*done("inspect", "prepare"), running("compile", (6.0, 80.0))]
    late = place(stages, {"stage": "compile", "done": 1, "total": 16}, 400.0, usual())
    assert 0.10 < late.share < 0.5
    early = place(stages, {"stage": "compile", "done": 15, "total": 16}, 12.0, usual())
    assert early.share > 0.5 and early.left is not None and early.left < 50


def test_time_counts_between_what_is_told() -> None:
    stages = [*done("inspect", "prepare"), running("compile", (6.0, 6.0))]
    progress = {"stage": "compile", "done": 4, "total": 8}
    shares = [place(stages, progress, 5.0 + spent, usual()).share for spent in (20.0, 33.0, 45.0, 60.0)]
    assert shares == sorted(shares) and shares[0] < shares[1] < shares[2] and shares[2] == shares[3]


def test_no_share_goes_back_through_a_whole_job() -> None:
    for expected in (usual(), stage_times.at_first(calibrates=False)):
        shares, elapsed = [], 0.0
        for number, (name, seconds) in enumerate(STAGES.items()):
            before = done(*list(STAGES)[:number])
            for step in range(9):
                progress = {"stage": name, "done": step, "total": 8}
                now = running(name, (0.1 * seconds, seconds * step / 8))
                shares.append(place([*before, now], progress, elapsed + seconds * step / 8, expected).share)
            elapsed += seconds
        assert all(b >= a - 0.02 for a, b in pairwise(shares)), shares
        assert shares[-1] <= NEARLY


def test_a_second_count_within_a_stage_does_not_begin_at_nothing() -> None:
    expected = stage_times.at_first(calibrates=False)
    first = place([running("verify", (0, 9))], {"stage": "verify", "done": 36, "total": 36}, 9.0, expected)
    second = place([running("verify", (0, 9), (9, 9))], {"stage": "verify", "done": 0, "total": 36}, 9.5, expected)
    assert second.share >= first.share * 0.9
    third = place([running("verify", (0, 9), (9, 12))], {"stage": "verify", "text": "looking"}, 12.0, expected)
    assert third.share >= second.share


def test_a_slower_machine_is_seen_in_the_stages_behind() -> None:
    slow = [
        {"name": "inspect", "status": "done", "seconds": 2.0},
        {"name": "prepare", "status": "done", "seconds": 8.0},
    ]
    found = place([*slow, running("compile")], {"stage": "compile"}, 10.0, usual())
    assert found.left is not None and 170 < found.left < 200


def test_a_larger_model_takes_longer_than_one_that_is_known() -> None:
    small = stage_times.usual([past(size=1_000_000)], 1_000_000)
    large = stage_times.usual([past(size=1_000_000)], 9_000_000)
    assert small and large and large.total == 3 * small.total and large.seconds["compile"] == 180.0


def test_an_installation_is_as_far_as_its_megabytes_say() -> None:
    """The first conversion stood for 42 seconds at "Starting, 0 %", while its tools were installed."""
    progress = {"stage": "install", "text": "downloading x", "done": 100, "total": 200, "unit": "MB"}
    third = place([running("install", (1, 10))], progress, 10.0, usual())
    assert 0.05 < third.share < 0.07 and third.left is not None and 150 < third.left < 160
    progress |= {"text": "compiling x", "unit": "modules"}
    more = place([running("install", (1, 20), (21, 30))], progress, 40.0, usual())
    assert 0.2 < more.share < 0.25 and more.left is not None and 120 < more.left < 130
    assert place([running("install")], {}, 0.0, usual()).share == 0.0


def test_jobs_that_were_answered_from_what_was_there_say_nothing() -> None:
    assert stage_times.usual([Past([], 0.1)], None) is None


def test_phases_are_noted_as_they_are_told() -> None:
    writer = JobLogWriter(Held("aij_1", "token", 1), None)  # type: ignore[arg-type]  # nothing is written
    writer.flush_soon = lambda: None  # type: ignore[method-assign]
    writer.add_event({"stage": "verify", "kind": "started"})
    for seconds, step, total in ((1, 0, 4), (2, 4, 4), (5, 0, 4), (6, 3, 4), (7, 1, 9)):
        event = {"stage": "verify", "kind": "progress", "done": step, "total": total, "seconds": seconds, "unit": "MB"}
        writer.add_event(event)
    assert writer.progress["unit"] == "MB"
    writer.add_event({"stage": "verify", "kind": "finished", "seconds": 9.0})
    assert writer.stages == [{"name": "verify", "status": "done", "seconds": 9.0, "phases": [[1, 2], [5, 6], [7, 7]]}]
