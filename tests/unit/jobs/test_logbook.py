"""The log: numbered through, resumable, bounded, and storable whatever a tool prints."""

from __future__ import annotations

import pytest

from oakmill.jobs import logbook
from oakmill.jobs.logbook import Line
from tests.unit.jobs.conftest import Hub


def test_lines_are_numbered_through_attempts_and_read_from_any_of_them(hub: Hub) -> None:
    name = hub.add_job()
    with hub.db.session() as session:
        assert logbook.append(session, name, 1, [Line("one"), Line("two", "compile")]) == 2
        assert logbook.append(session, name, 2, [Line("three")]) == 3
        assert [(line.number, line.attempt, line.text) for line in logbook.read(session, name, after=1)] == [
            (2, 1, "two"),
            (3, 2, "three"),
        ]
        assert [line.text for line in logbook.tail(session, name, 2)] == ["two", "three"]


def test_what_no_database_takes_is_replaced(hub: Hub) -> None:
    name = hub.add_job()
    with hub.db.session() as session:
        logbook.append(session, name, 1, [Line("a\0b\udcff"), Line("x" * 9000)])
        first, second = logbook.read(session, name)
        assert first.text == "a\N{REPLACEMENT CHARACTER}b?"
        assert len(second.text) == logbook.LONGEST_LINE


def test_a_log_that_grows_without_end_is_cut_and_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "MOST_LINES", 3)
    name = hub.add_job()
    with hub.db.session() as session:
        for _ in range(3):
            logbook.append(session, name, 1, [Line("a"), Line("b")])
        assert [line.text for line in logbook.read(session, name)] == ["a", "b", "a", logbook._FULL]
