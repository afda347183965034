"""The log: numbered through, resumable, bounded, and storable whatever a tool prints."""

from __future__ import annotations

import pytest

from oakmill.jobs import job_log
from oakmill.jobs.job_log import Line
from tests.unit.jobs.conftest import Hub


def test_lines_are_numbered_through_attempts_and_read_from_any_of_them(hub: Hub) -> None:
    name = hub.add_job()
    with hub.db.session() as session:
        assert job_log.append(session, name, 1, [Line("one"), Line("two", "compile")]) == 2
        assert job_log.append(session, name, 2, [Line("three")]) == 3
        assert [(line.number, line.attempt, line.text) for line in job_log.read(session, name, after=1)] == [
            (2, 1, "two"),
            (3, 2, "three"),
        ]
        assert [line.text for line in job_log.tail(session, name, 2)] == ["two", "three"]


def test_what_no_database_takes_is_replaced(hub: Hub) -> None:
    name = hub.add_job()
    with hub.db.session() as session:
        job_log.append(session, name, 1, [Line("a\0b\udcff"), Line("x" * 9000)])
        first, second = job_log.read(session, name)
        assert first.text == "a\N{REPLACEMENT CHARACTER}b?"
        assert len(second.text) == job_log.LONGEST_LINE


def test_of_a_log_that_grows_without_end_the_middle_is_left_out(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first 20,000 lines were kept, and of those that say why a job failed none."""
    for name, value in {"FIRST_LINES": 2, "LAST_LINES": 4, "_TRIMMED_AT_ONCE": 2}.items():
        monkeypatch.setattr(job_log, name, value)
    job = hub.add_job()
    with hub.db.session() as session:
        for number in range(1, 20, 3):
            job_log.append(session, job, 1, [Line(str(number + more)) for more in range(3)])
        found = [(line.number, line.text) for line in job_log.read(session, job)]
    assert [number for number, _ in found[:3]] == [1, 2, 3]
    assert "3 to 17 are left out" in found[2][1]
    assert found[3:] == [(number, str(number)) for number in range(18, 22)]
