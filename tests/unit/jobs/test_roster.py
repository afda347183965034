"""Workers are heard of, paused, and forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oakmill.errors import NotFound
from oakmill.jobs import queue, roster
from oakmill.jobs.tables import WorkerRow
from oakmill.storage.database import now
from tests.unit.jobs.conftest import Hub

MINUTE = timedelta(minutes=1)


def test_a_paused_worker_takes_no_further_job(hub: Hub) -> None:
    """To take a machine out, one had to kill its worker in the middle of a job."""
    hub.add_job()
    with hub.db.session() as session:
        roster.enter(session, "w", 4096)
        roster.pause(session, "w", paused=True)
        assert queue.claim(session, "w", MINUTE) is None
        assert roster.ready(session) == 0
        assert roster.beat(session, "w", None)
        roster.pause(session, "w", paused=False)
        assert roster.ready(session) == 1
        assert queue.claim(session, "w", MINUTE) is not None


def test_who_was_silent_is_not_counted_on_and_forgotten_in_the_end(hub: Hub) -> None:
    with hub.db.session() as session:
        for name, silence in (("fresh", timedelta()), ("silent", timedelta(minutes=5)), ("gone", timedelta(hours=2))):
            roster.enter(session, name, 1)
            session.flush()
            session.get_one(WorkerRow, name).beat = now() - silence
            session.flush()
        assert [row.name for row in roster.listed(session) if not roster.is_silent(session, row)] == ["fresh"]
        assert roster.ready(session) == 1
        roster.enter(session, "next", 1)
        assert not roster.beat(session, "gone", None)
        roster.leave(session, "fresh")
        assert {row.name for row in roster.listed(session)} == {"silent", "next"}
        with pytest.raises(NotFound, match="no worker 'fresh'"):
            roster.pause(session, "fresh", paused=True)
