"""`oakmill agent` from the request to the file's facts: a real hub, a real agent, a camera that is not there."""

from __future__ import annotations

import signal
import time

import pytest

from tests import in_process
from tests.agent.conftest import LEASE, Hub
from tests.hub_servers import PATIENCE

pytestmark = pytest.mark.heavy


def test_a_proof_stands_beside_the_files_own_passport_and_gives_way_to_the_next(hub: Hub) -> None:
    """The camera's passport is of the images of the file's own, and does not take its place."""
    before = hub.facts()
    job_id = hub.measure("prove")
    said = hub.once(scale=1.003)  # what FP16 may leave
    job, after = hub.job(job_id), hub.facts()
    assert job["status"] == "succeeded", (job, said)
    proof, speed = (after["facts"]["measured"][name] for name in ("proof", "speed"))
    assert proof["device"]["product"] == speed["device"]["product"] == "OAK-D-LITE"
    assert (proof["verdict"], proof["images"], proof["job"]) == ("ok", 4, job_id)
    assert speed["fps"] > 0 and speed["latency_ms"] <= speed["latency_p95_ms"]
    with hub.client() as client:
        passport = client.get(f"/instances/{hub.instance}/passport").json()
    assert passport["measured_on"] is None and job["result"]["passport"]["measured_on"]
    assert job["result"]["passport"]["images"]["names"] == passport["images"]["names"]
    roles = {file["role"]: file["sha256"] for file in after["files"]}
    assert {"measured", "measured_page"} <= set(roles)
    assert {item["role"]: item["sha256"] for item in before["files"]}["passport"] == roles["passport"]
    assert [stage["status"] for stage in job["stages"]] == ["done"] * len(job["stages"]) and job["stages"]
    assert any("fetching the images" in line for line in hub.log(job_id))

    with hub.client() as client:
        again = client.post(f"/jobs/{job_id}/retry", json={}).raise_for_status().json()
    assert again["id"] != job_id and again["spec"] == job["spec"]
    hub.once(scale=3)
    found = hub.facts()
    assert hub.job(again["id"])["status"] == "succeeded"
    proof = found["facts"]["measured"]["proof"]
    assert (proof["job"], proof["verdict"]) == (again["id"], "error"), "the camera computes something else"
    assert [file["role"] for file in found["files"]].count("measured") == 1


def test_a_benchmark_and_the_agents_cameras(hub: Hub) -> None:
    job_id = hub.measure()
    assert hub.measure() == job_id, "the same is asked once"
    agent = hub.agent(answer_seconds=0.01)
    assert hub.ended(job_id)["status"] == "succeeded"
    speed = hub.facts()["facts"]["measured"]["speed"]
    assert speed["job"] == job_id and 0 < speed["fps"] <= 100
    said = in_process.run(
        "benchmark", "tiny:only", "--hub", hub.url, "--seconds", "0.5", "--warm-up", "0", OAKMILL_KEY=hub.key
    )
    assert said.returncode == 0 and "OAK-D-LITE (RVC2" in said.stdout and "FPS" in said.stdout, said
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with hub.client() as client:
            (found,) = client.get("/agents").json()["items"]
        if found["cameras"] and found["cameras"][0]["firmware"]:
            break
        time.sleep(0.2)
    (camera,) = found["cameras"]
    assert (camera["platform"], camera["product"]) == ("RVC2", "OAK-D-LITE")
    assert camera["firmware"] == "the firmware of depthai 3.12.0"
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(PATIENCE) == 130
    with hub.client() as client:
        assert client.get("/agents").json()["items"] == []


def test_a_camera_that_vanishes_fails_the_job_with_its_words(hub: Hub) -> None:
    job_id = hub.measure()
    hub.once(vanishes_after=3)
    job = hub.job(job_id)
    assert job["status"] == "failed" and "has vanished" in job["error"]
    assert job["failure"]["code"] == "DeviceLost"
    assert "look at its cable" in job["failure"]["remedies"][0]["text"]
    assert any("has vanished" in line for line in hub.log(job_id))


def test_an_agent_without_a_fitting_camera_takes_nothing(hub: Hub) -> None:
    job_id = hub.measure()
    hub.once(platform="RVC4")
    assert hub.job(job_id)["status"] == "queued"


def test_a_killed_agents_job_is_another_agents(hub: Hub) -> None:
    job_id = hub.measure(how={"seconds": 60, "warm_up": 0})
    first = hub.agent(answer_seconds=0.01)
    hub.measuring(job_id)
    first.kill()
    first.wait()
    second = hub.agent(answer_seconds=0.01)
    found = hub.wait(job_id, lambda job: job["attempt"] == 2)
    assert found["status"] == "running"
    second.send_signal(signal.SIGTERM)
    second.wait(PATIENCE)
    given_back = hub.job(job_id)
    assert (given_back["status"], given_back["attempt"]) == ("queued", 1), "a job that is given back was not tried"


def test_a_cancelled_job_ends_on_the_camera(hub: Hub) -> None:
    job_id = hub.measure(how={"seconds": 60, "warm_up": 0})
    hub.agent(answer_seconds=0.01)
    hub.measuring(job_id)
    began = time.monotonic()
    with hub.client() as client:
        client.post(f"/jobs/{job_id}/cancel").raise_for_status()
    assert hub.ended(job_id)["status"] == "cancelled"
    assert time.monotonic() - began < 20
    assert "the job was cancelled" in hub.log(job_id)


def test_an_agent_frozen_past_its_lease_writes_nothing(hub: Hub) -> None:
    """It measured on, while it could not be heard of, and has the result when it is woken: that is not written."""
    job_id = hub.measure(how={"seconds": 2, "warm_up": 0})
    first = hub.agent("--once", answer_seconds=0.01)
    hub.measuring(job_id)
    first.send_signal(signal.SIGSTOP)
    time.sleep(LEASE + 0.5)
    second = hub.agent("--once", answer_seconds=0.05)
    done = hub.ended(job_id)
    second.communicate(timeout=PATIENCE)
    assert (done["status"], done["attempt"]) == ("succeeded", 2)
    lines = hub.log(job_id)
    first.send_signal(signal.SIGCONT)
    said, _ = first.communicate(timeout=PATIENCE)
    assert hub.job(job_id) == done and hub.log(job_id) == lines, said
    assert hub.facts()["facts"]["measured"]["speed"]["fps"] == done["result"]["measured"]["speed"]["fps"] < 25
