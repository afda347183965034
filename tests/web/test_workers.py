"""The workers in a real browser: who there is, and taking one out without losing its work."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from oakmill.jobs import queue, roster
from oakmill.storage.database import now
from tests.web.conftest import Served
from tests.web.furnish import network
from tests.web.working import asked, database, source


def test_a_worker_is_paused_and_a_waiting_job_says_that_none_takes_jobs(page: Page, hub: Served) -> None:
    """A job that waited for a worker that had gone said "begins as soon as a worker is free" for hours."""
    job = asked(hub, source(hub, "Unserved", network(57)))
    page.goto(f"/jobs/{job['id']}")
    expect(page.locator("#state")).to_contain_text("No worker takes jobs at the moment")

    with database(hub.home) as session:
        roster.enter(session, "oven:7:ab", 4096)
    page.goto("/conversions")
    page.get_by_role("link", name="Workers").click()
    row = page.get_by_role("row").filter(has_text="oven:7:ab")
    expect(row).to_contain_text("Ready")
    page.goto(f"/jobs/{job['id']}")
    expect(page.locator("#state")).not_to_contain_text("No worker takes jobs")

    page.goto("/workers")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    with database(hub.home) as session:
        assert queue.claim(session, "oven:7:ab", now() - now()) is None
    row.get_by_role("button", name="Let it go on").click()
    expect(row).to_contain_text("Ready")
    with database(hub.home) as session:
        roster.leave(session, "oven:7:ab")


def test_who_rules_nothing_sees_no_workers(stranger: Page) -> None:
    stranger.goto("/workers")
    expect(stranger).to_have_url(re.compile(r"/session\?next=/workers"))
