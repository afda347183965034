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


def test_a_log_that_grows_without_end_is_cut_and_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "MOST_LINES", 3)
    name = hub.add_job()
    with hub.db.session() as session:
        for _ in range(3):
            job_log.append(session, name, 1, [Line("a"), Line("b")])
        assert [line.text for line in job_log.read(session, name)] == ["a", "b", "a", job_log._FULL]
