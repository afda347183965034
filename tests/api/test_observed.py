"""The hub seen from outside: by monitoring, by a balancer, and in its log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from oakmill.errors import StoreUnreachable
from oakmill.hub import log_lines
from oakmill.jobs import roster
from oakmill.settings import Settings
from tests.api.conftest import World, open_world

KEY = "scraped-by-prometheus"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[World]:
    yield from open_world(Settings(home=tmp_path / "home", metrics_key=KEY))


def scraped(world: World, key: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Each metric's values by their labels, as Prometheus' own parser reads them."""
    answer = world.client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    return {
        family.name: {
            tuple(sample.labels.values()): sample.value
            for sample in family.samples
            if not sample.name.endswith("_created")
        }
        for family in text_string_to_metric_families(answer.text)
    }


def test_monitoring_reads_queue_workers_and_teams(watched: World) -> None:
    """Nobody but who opened the pages saw that a queue grew, or that the last worker had gone."""
    with watched.hub.db.session() as session:
        roster.enter(session, "machine:7:ab", 4096)
    watched.client.get("/api/v1/health")
    found = scraped(watched, KEY)
    assert found["oakmill_workers_ready"] == {(): 1}
    assert found["oakmill_worker_busy"] == {("machine:7:ab",): 0}
    assert {("ours",), ("theirs",)} <= found["oakmill_team_bytes"].keys()
    assert found["oakmill_http_requests"]["GET", "/api/v1/health", "200"] == 1, found["oakmill_http_requests"]


def test_its_key_opens_nothing_else_and_no_teams_key_opens_it(watched: World) -> None:
    assert watched.client.get("/metrics").status_code == 401
    for who in ("Ours admin", "Ours read", "narrow"):
        assert watched.client.get("/metrics", headers=watched.as_(who)).status_code == 403
    assert watched.client.get("/api/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 401


def test_strangers_addresses_are_counted_as_one(watched: World) -> None:
    for number in range(5):
        watched.client.get(f"/nothing/{number}")
    routes = {labels[1] for labels in scraped(watched, KEY)["oakmill_http_requests"]}
    assert not any("nothing" in route for route in routes)


def test_strangers_methods_are_counted_as_one(watched: World) -> None:
    """Each method that somebody made up, without a key, was a series more in this process and in Prometheus."""
    for number in range(5):
        watched.client.request(f"MADEUP{number}", "/api/v1/health")
    methods = {labels[0] for labels in scraped(watched, KEY)["oakmill_http_requests"]}
    assert "OTHER" in methods and not any("MADEUP" in method for method in methods)


def test_the_access_log_holds_no_link_that_works_and_no_line_of_a_strangers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who read the log could download by the links in it, and who sent %0a wrote lines of their own into it."""
    with (
        caplog.at_level(logging.INFO, "oakmill.access"),
        contextmanager(open_world)(Settings(home=tmp_path / "home", access_log=True)) as world,
    ):
        world.client.get("/api/v1/files/a-token-that-works/a.bin")
        world.client.get("/x%0aINFO%20forged%1b[2J")
    handler = log_lines.handler("text")
    for record in caplog.records:
        handler.filter(record)
    lines = [handler.format(record) for record in caplog.records if record.name == "oakmill.access"]
    assert len(lines) == 2 and all(line.isprintable() for line in lines)
    assert "/api/v1/files/.../a.bin" in lines[0] and "\\nINFO forged\\x1b" in lines[1]


def test_a_request_is_called_the_same_in_answer_problem_and_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A user's \"it said 404 at noon\" could not be found in the log."""
    answer = world.client.get("/api/v1/models/none", headers={**world.as_("Ours read"), "X-Request-ID": "trace-7"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "trace-7"
    hostile = world.client.get("/api/v1/health", headers={"X-Request-ID": "a b<script>"})
    assert hostile.headers["x-request-id"] not in ("", "a b<script>")
    assert world.client.get("/api/v1/health").headers["x-request-id"] != hostile.headers["x-request-id"]


def test_the_log_is_read_by_machines_too() -> None:
    record = logging.LogRecord("oakmill.x", logging.WARNING, __file__, 1, "job %s is %s", ("7", "late"), None)
    mark = log_lines.REQUEST.set("trace-7")
    try:
        handler = log_lines.handler("json")
        assert handler.filter(record)
        found = json.loads(handler.format(record))
    finally:
        log_lines.REQUEST.reset(mark)
    assert (found["level"], found["message"], found["request_id"]) == ("WARNING", "job 7 is late", "trace-7")
    assert handler.format(record).count("\n") == 0


def test_readiness_is_apart_from_being_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub whose store was away was sent requests all the same, or started anew for nothing."""
    assert world.client.get("/api/v1/health/ready").status_code == 200

    def away(sha256: str) -> bool:
        raise StoreUnreachable("The store does not answer.")

    monkeypatch.setattr(world.hub.blobs, "has", away)
    assert world.client.get("/api/v1/health/ready").status_code == 503
    assert world.client.get("/api/v1/health/live").status_code == 200
