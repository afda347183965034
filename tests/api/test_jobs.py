"""Jobs over HTTP: their pages, their log as a stream that resumes, and what becomes of streams when the hub ends."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from oakmill.jobs import job_log, queue
from oakmill.jobs.job_log import Line
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Instance
from tests.api.conftest import API, PATIENCE, World


def add_jobs(world: World, count: int, status: JobStatus = JobStatus.QUEUED) -> list[str]:
    with world.hub.db.session() as session:
        source = session.get_one(Instance, world.ids["Ours team instance"])
        for number in range(count):
            job = Job(
                id=f"aij_{status}{number}", name=f"job {number}", team_id=source.team_id, source_id=source.id,
                platform="rvc2", spec={"platform": "rvc2"}, status=status,
            )  # fmt: skip
            queue.add(session, job)
    return [f"aij_{status}{number}" for number in range(count)]


def say(world: World, job_id: str, *texts: str) -> None:
    with world.hub.db.session() as session:
        job_log.append(session, job_id, 1, [Line(text) for text in texts])


def end(world: World, job_id: str) -> None:
    with world.hub.db.session() as session:
        session.get_one(Job, job_id).status = JobStatus.FAILED
        queue.changed(session, job_id)


def follow(world: World, job_id: str, **headers: str) -> list[tuple[str, str, Any]]:
    """All events until the stream ends: (kind, id, data)."""
    answer = world.client.get(f"{API}/jobs/{job_id}/events", headers={**world.as_("Ours read"), **headers})
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


def test_a_stream_tells_all_and_resumes_where_it_stopped(world: World) -> None:
    (job_id,) = add_jobs(world, 1)
    say(world, job_id, "one", "two", "three")
    end(world, job_id)
    whole = follow(world, job_id)
    assert [data["text"] for kind, _, data in whole if kind == "line"] == ["one", "two", "three"]
    assert [kind for kind, _, _ in whole][-2:] == ["job", "end"]
    rest = follow(world, job_id, **{"Last-Event-ID": "2"})
    assert [data["text"] for kind, _, data in rest if kind == "line"] == ["three"]
    odd = follow(world, job_id, **{"Last-Event-ID": "none"})
    assert len(odd) == len(whole)


def test_a_line_is_streamed_when_it_is_written(world: World) -> None:
    (job_id,) = add_jobs(world, 1)
    found: list[Any] = []
    listener = threading.Thread(target=lambda: found.extend(follow(world, job_id)))
    listener.start()
    time.sleep(1)
    say(world, job_id, "live")
    end(world, job_id)
    listener.join(PATIENCE)
    assert [data["text"] for kind, _, data in found if kind == "line"] == ["live"]
    assert [data["status"] for kind, _, data in found if kind == "job"] == ["queued", "failed"]


def test_streams_end_when_the_hub_does_and_say_no_end(world: World) -> None:
    (job_id,) = add_jobs(world, 1)
    found: list[Any] = []
    listener = threading.Thread(target=lambda: found.extend(follow(world, job_id)))
    listener.start()
    time.sleep(1)
    world.hub.ending.set()
    listener.join(PATIENCE)
    assert not listener.is_alive()
    assert "end" not in [kind for kind, _, _ in found]


def test_pages_go_on_where_the_last_one_ended(world: World) -> None:
    made = add_jobs(world, 7)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = world.client.get(f"{API}/jobs", headers=world.as_("Ours read"), params=params).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    wrong = world.client.get(f"{API}/jobs", headers=world.as_("Ours read"), params={"cursor": "x"})
    assert wrong.status_code == 422


def test_cancel_priorities_and_the_failed_list(world: World) -> None:
    first, second = add_jobs(world, 2)
    by = world.as_("Ours convert")
    moved = world.client.patch(f"{API}/jobs/{second}", headers=by, json={"priority": 5}).json()
    assert (moved["priority"], moved["position"]) == (5, 1)
    assert world.client.post(f"{API}/jobs/{first}/cancel", headers=by).json()["status"] == "cancelled"
    assert world.client.patch(f"{API}/jobs/{first}", headers=by, json={"priority": 5}).status_code == 409
    end(world, second)
    failed = world.client.get(f"{API}/failures", headers=by).json()["items"]
    assert [item["id"] for item in failed] == [second]


def test_a_large_body_is_refused_before_it_is_read(world: World) -> None:
    headers = {**world.as_("Ours convert"), "Content-Type": "application/json"}
    answer = world.client.post(f"{API}/models", headers=headers, content=b" " * (2 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "TooLarge")
