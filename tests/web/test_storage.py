"""The page of what a team stores, in a real browser: a rule on results is tried first, and then set."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import update

from oakmill.registry import teams
from oakmill.registry.tables import Instance, Team
from oakmill.storage.database import now
from tests.web.conftest import Served
from tests.web.furnish import network
from tests.web.working import asked, database, ran, source


def test_a_rule_is_tried_and_then_set(page: Page, hub: Served) -> None:
    """Two results of one variant and platform, here of 40 days ago; the rule is taken back at the end.

    They are of a model of their own: what another test had downloaded today stays by whatever rule, and the list was
    empty then.
    """
    of = source(hub, "Kept for a while", network(28))
    ids = [ran(hub, hub.home, asked(hub, of, spec=spec))["result_id"] for spec in ({"blob": True}, {})]
    old = now() - timedelta(days=40)
    with database(hub.home) as session:
        session.execute(update(Instance).where(Instance.id.in_(ids)).values(created=old, updated=old))
        teams.change(session, "default", quota_bytes=10**9)
    page.goto("/keys")
    page.get_by_role("link", name="Storage").click()
    expect(page.get_by_label("Stored, of what the team may store")).to_have_attribute("max", str(10**9))
    page.get_by_label("The latest of each variant and platform").fill("1")
    page.get_by_role("button", name="What would go?").click()
    expect(page.get_by_role("status")).to_contain_text("nothing has gone")
    expect(page.get_by_role("region", name="What would go").get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Keep so").click()
    expect(page.get_by_text("go with the next round, within the hour")).to_be_visible()
    page.get_by_label("The latest of each variant and platform").fill("")
    page.get_by_role("button", name="Keep so").click()
    expect(page.get_by_role("region", name="What would go")).to_have_count(0)
    with database(hub.home) as session:
        session.execute(update(Team).values(quota_bytes=None))
