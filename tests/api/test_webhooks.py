"""Webhooks over the API: who may have them, and that what happens arrives, verified by the scheme's own library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oakmill.hub import metrics
from oakmill.hub.observing import Traffic
from oakmill.jobs import queue
from oakmill.jobs.tables import Job
from oakmill.registry.identifiers import new_id
from oakmill.settings import Settings
from tests.api.conftest import World, open_world
from tests.in_process import run
from tests.receiver import LOOPBACK, PATIENCE, receiving

HOOKS = "/api/v1/webhooks"


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[World]:
    """A hub whose operator lets webhooks go to this machine."""
    yield from open_world(Settings(home=tmp_path / "home", webhook_networks=LOOPBACK))


def added(world: World, url: str, who: str = "Ours admin", **body: Any) -> dict[str, Any]:
    answer = world.client.post(HOOKS, json={"url": url, **body}, headers=world.as_(who))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def cancelled(world: World, team: str) -> str:
    """A job of that team that was cancelled while it waited."""
    with world.hub.db.session() as session:
        team_id = session.get_one(Job, queue.add(session, _job(world, team)).id).team_id
        assert team_id
        job_id = session.query(Job.id).order_by(Job.number.desc()).limit(1).scalar()
        queue.cancel(session, str(job_id))
    return str(job_id)


def _job(world: World, team: str) -> Job:
    team_id = world.client.get("/api/v1/teams/me", headers=world.as_(f"{team} admin")).json()["team"]["id"]
    return Job(id=new_id("aij"), name="small", team_id=team_id, platform="rvc2")


def test_the_end_of_a_job_arrives_and_is_verified(telling: World) -> None:
    with receiving() as receiver:
        made = added(telling, receiver.url)
        cancelled(telling, "Theirs")
        job_id = cancelled(telling, "Ours")
        (heard,) = receiver.wait_for(1)
    told = heard.verified(made["secret"])
    assert told["type"] == "job.cancelled"
    assert told["data"]["job"]["id"] == job_id
    assert told["data"]["job"]["status"] == "cancelled"


def test_a_webhook_is_its_teams_admins_alone(telling: World) -> None:
    made = added(telling, "https://ci.example.com/hooks")
    assert "secret" not in telling.client.get(HOOKS, headers=telling.as_("Ours admin")).json()["items"][0]
    for who, code in {"Ours read": 403, "Ours convert": 403, "narrow": 403, "nobody": 401}.items():
        assert telling.client.get(HOOKS, headers=telling.as_(who)).status_code == code, who
        body = {"url": "https://ci.example.com"}
        assert telling.client.post(HOOKS, json=body, headers=telling.as_(who)).status_code == code, who
    stranger = telling.as_("Theirs admin")
    assert telling.client.get(HOOKS, headers=stranger).json()["items"] == []
    for verb, path in (("DELETE", ""), ("POST", "/test"), ("POST", "/secret"), ("GET", "/deliveries")):
        assert telling.client.request(verb, f"{HOOKS}/{made['id']}{path}", headers=stranger).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "https://", "https://user:word@a.example/", "https://a.example/ b", "https://a.example:0/",
     "https://a.example:99999/", "https://a.example/#x", "https://ä.example/", "javascript:alert(1)", "https://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(telling: World, url: str) -> None:
    answer = telling.client.post(HOOKS, json={"url": url}, headers=telling.as_("Ours admin"))
    assert answer.status_code == 422, answer.text


def test_without_the_operators_word_it_is_https_and_public(world: World) -> None:
    """What is refused is told on the delivery, not to whoever asks what is behind the wall."""
    plain = world.client.post(HOOKS, json={"url": "http://ci.example.com"}, headers=world.as_("Ours admin"))
    assert plain.status_code == 422
    assert "OAKMILL_WEBHOOK_NETWORKS" in plain.text
    with receiving() as receiver:
        made = added(world, receiver.url.replace("http:", "https:"))
        sent = world.client.post(f"{HOOKS}/{made['id']}/test", headers=world.as_("Ours admin")).json()
        found = until_tried(world, sent["id"])
    assert "in no network that webhooks may go to" in found["error"]
    with world.hub.db.reading() as session:
        assert b'oakmill_webhook_messages{status="pending"} 1.0' in metrics.text_of(session, Traffic())
    assert not receiver.heard


def until_tried(world: World, delivery_id: str) -> dict[str, Any]:
    import time

    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found: dict[str, Any] = world.client.get(
            f"/api/v1/deliveries/{delivery_id}", headers=world.as_("Ours admin")
        ).json()
        if found["sent"]:
            return found
        time.sleep(0.05)
    raise AssertionError("it was never sent")


def test_a_message_is_sent_again_under_the_same_name(telling: World) -> None:
    with receiving(500, 204) as receiver:
        made = added(telling, receiver.url, events=["job.failed"])
        cancelled(telling, "Ours")  # is not asked for
        sent = telling.client.post(f"{HOOKS}/{made['id']}/test", headers=telling.as_("Ours admin")).json()
        found = until_tried(telling, sent["id"])
        assert (found["status"], found["code"], found["attempt"]) == ("pending", 500, 1)
        telling.client.post(f"/api/v1/deliveries/{sent['id']}/again", headers=telling.as_("Ours admin"))
        first, second = receiver.wait_for(2)
    assert first.id == second.id == sent["id"]
    assert first.body == second.body
    assert second.verified(made["secret"])["type"] == "webhook.test"


def test_a_team_has_so_many_and_no_more(telling: World) -> None:
    for number in range(20):
        added(telling, f"https://ci.example.com/{number}")
    body = {"url": "https://ci.example.com/last"}
    assert telling.client.post(HOOKS, json=body, headers=telling.as_("Ours admin")).status_code == 409


def test_what_was_done_is_in_the_audit_log(telling: World) -> None:
    made = added(telling, "https://ci.example.com/hooks")
    telling.client.post(f"{HOOKS}/{made['id']}/secret", headers=telling.as_("Ours admin"))
    telling.client.delete(f"{HOOKS}/{made['id']}", headers=telling.as_("Ours admin"))
    found = telling.client.get("/api/v1/audit?limit=3", headers=telling.as_("Ours admin")).json()["items"]
    assert [item["action"] for item in found] == ["webhook.remove", "webhook.rotate", "webhook.add"]


def test_the_command_without_a_hub_says_so(tmp_path: Path) -> None:
    done = run("webhooks", "list", OAKMILL_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode != 0
    assert "oakmill login" in done.stderr


def test_tests_that_wait_are_few(telling: World) -> None:
    """Each press of Test at a receiver that was away was a row more, tried for a day; a script made thousands."""
    made = added(telling, "http://127.0.0.1:9/")
    headers = telling.as_("Ours admin")
    codes = [telling.client.post(f"{HOOKS}/{made['id']}/test", headers=headers).status_code for _ in range(12)]
    assert codes == [202] * 10 + [409] * 2
