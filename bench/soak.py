"""Kills the hub's processes at random while uploads and jobs go on, and says whether anything acknowledged was lost.

`python bench/soak.py [--minutes 15]` starts a hub of its own in a temporary folder, on SQLite, with the user's RVC2
toolchain. What the hub has answered with success is noted: at the end each source must be there with its bytes, each
job must have ended, each result must be whole, and rows and store must agree. The exit code is 1 where they do not.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import numpy as np
import psutil
from onnx import TensorProto, helper, numpy_helper

sys.path.append(str(Path(__file__).parent.parent))
from hub import installed

from tests import hub_servers
from tests.hub_servers import API, ServedHub

T = TypeVar("T")
LEASE = {"OAKMILL_LEASE_SECONDS": "15", "OAKMILL_BEAT_SECONDS": "1"}
LIVE = ("waiting", "queued", "running")
JOBS_AT_ONCE = 4
PATIENCE = 1200.0
"""Seconds for the hub to come back; benches may have to wait for all else on a machine."""
PIECE = 256 << 10
SPEC = {"blob": True, "number_of_shaves": 4, "max_verification_images": 1}
KILLED = re.compile(r"The worker that ran it was lost|signal 9|SIGKILL|was killed")
"""The failures that kills may cause: of a job's worker at each of its attempts, of its process, of its tool."""


class Over(Exception):
    """The time is over."""


@dataclass
class Soak:
    """The hub, who uses it, and what it has acknowledged."""

    hub: ServedHub
    random: random.Random
    until: float
    sources: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    outages: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until

    def again(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask until there is an answer that is not an outage's; the hub may be away for a while."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                answer = ask()
                if answer.status_code not in (429, 503):
                    return answer
            self.tries["tried again"] += 1
            time.sleep(0.2)
        raise TimeoutError("the hub does not come back")


def model(seed: int) -> bytes:
    """A small convolution like no other, of some hundreds of kilobytes."""
    values = np.random.default_rng(seed).standard_normal((64, 3, 3, 3)).astype(np.float32) / 6
    deep = np.random.default_rng(seed + 1).standard_normal((64, 64, 5, 5)).astype(np.float32) / 40
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"], pads=[1] * 4),
        helper.make_node("Conv", ["t", "d"], ["y"], pads=[2] * 4),
    ]
    made = helper.make_graph(
        nodes, "g", [x], [y], [numpy_helper.from_array(values, "w"), numpy_helper.from_array(deep, "d")]
    )
    data: bytes = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    return data


def upload_all(soak: Soak, number: int) -> None:
    """One user, who uploads one model after the other, and asks for its conversion."""
    seed = number * 1_000_000
    with soak.hub.client(30) as client:
        while not soak.is_over:
            seed += 2
            with suppress(Over):
                source = upload(soak, client, f"soak {seed}", model(seed))
                convert(soak, client, source)


def upload(soak: Soak, client: httpx.Client, name: str, data: bytes) -> str:
    """A source; noted when the hub has said that it is complete."""
    found = made(soak, client, "/models", name=name)
    version = made(soak, client, f"/models/{found['id']}/versions", variant="small")
    source = made(soak, client, "/instances", version_id=version["id"], name=name)["id"]
    digest = hashlib.sha256(data).hexdigest()
    purpose = {"kind": "instance", "instance_id": source}
    one = made(soak, client, "/uploads", name="m.onnx", size=len(data), sha256=digest, purpose=purpose)
    path = f"/uploads/{one['id']}"
    while (offset := int(soak.again(lambda: client.head(path)).headers["upload-offset"])) < len(data):
        with suppress(httpx.TransportError):
            piece = data[offset : offset + PIECE]
            client.patch(path, headers={"Upload-Offset": str(offset)}, content=piece)
    answer = soak.again(lambda: client.post(f"{path}/complete"))
    if answer.status_code != 200:
        soak.wrong.append(f"upload of {source}: {answer.status_code} {answer.text[:300]}")
        raise Over
    soak.sources[source] = digest
    return str(source)


def made(soak: Soak, client: httpx.Client, path: str, **body: Any) -> Any:
    """What is made by a POST; where an answer was lost, another of its kind is made."""
    tries = 0
    while True:
        tries += 1
        said = {**body, "name": f"{body['name']} {tries}"} if path == "/models" else body
        answer = soak.again(lambda said=said: client.post(path, json=said))  # type: ignore[misc]
        if answer.status_code == 201:
            return answer.json()
        if answer.status_code != 409 or tries > 20:
            soak.wrong.append(f"POST {path}: {answer.status_code} {answer.text[:300]}")
            raise Over


def convert(soak: Soak, client: httpx.Client, source: str) -> None:
    """Ask for a conversion, when few enough are under way."""
    body = {"platform": "rvc2", "spec": SPEC}
    while live(soak, client) >= JOBS_AT_ONCE:
        if soak.is_over:
            raise Over
        time.sleep(0.5)
    answer = soak.again(lambda: client.post(f"/instances/{source}/conversions", json=body))
    if answer.status_code == 201:
        soak.jobs[answer.json()["id"]] = {}
    else:
        soak.wrong.append(f"conversion of {source}: {answer.status_code} {answer.text[:300]}")


def live(soak: Soak, client: httpx.Client) -> int:
    """How many jobs have not ended."""
    return len(soak.again(lambda: client.get("/jobs", params={"status": list(LIVE), "limit": 50})).json()["items"])


def watch(soak: Soak) -> None:
    """A client that asks ten times a second, and notes for how long it had no answer."""
    last = time.monotonic()
    while not soak.is_over:
        with suppress(httpx.TransportError):
            if httpx.get(f"{soak.hub.url}{API}/health", timeout=5, trust_env=False).status_code == 200:
                now = time.monotonic()
                soak.outages.append(now - last)
                last = now
        time.sleep(0.1)


def kill_all(soak: Soak, pause: tuple[float, float]) -> None:
    """Kill something, again and again."""
    deeds = {"web process": web, "worker": worker, "a job's process": runner, "a tool": tool, "renewed": renew}
    while not soak.is_over:
        time.sleep(soak.random.uniform(*pause))
        what = soak.random.choice([*deeds, "everything"])
        if what == "everything":
            restart(soak)
            soak.kills[what] += 1
        else:
            soak.kills[what] += deeds[what](soak)


def below(soak: Soak, words: str) -> list[psutil.Process]:
    """The hub's processes whose command line has these words."""
    found = []
    for process in psutil.Process(soak.hub.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if words in " ".join(process.cmdline()):
                found.append(process)
    return found


def one_of(soak: Soak, words: str) -> int:
    with suppress(psutil.Error, IndexError):
        soak.random.choice(below(soak, words)).kill()
        return 1
    return 0


def web(soak: Soak) -> int:
    return one_of(soak, "oakmill.server.web")


def worker(soak: Soak) -> int:
    return one_of(soak, "oakmill worker")


def runner(soak: Soak) -> int:
    return one_of(soak, "oakmill.jobs.zygote")


def tool(soak: Soak) -> int:
    return one_of(soak, "-m runner")


def renew(soak: Soak) -> int:
    soak.hub.process.send_signal(signal.SIGHUP)
    return 1


def restart(soak: Soak) -> None:
    """Kill all of it at once, as a machine's end does, and start it again."""
    tree = [
        soak.hub.process.pid,
        *(process.pid for process in psutil.Process(soak.hub.process.pid).children(recursive=True)),
    ]
    for pid in tree:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    soak.hub.process.wait()
    began = time.monotonic()
    soak.hub.start()
    soak.starts.append(time.monotonic() - began)


def settle(soak: Soak, seconds: float) -> None:
    """Let the jobs end."""
    deadline = time.monotonic() + seconds
    with soak.hub.client(60) as client:
        while live(soak, client) and time.monotonic() < deadline:
            time.sleep(1)


def judge(soak: Soak) -> Counter[str]:
    """Hold what was acknowledged against what is there; how the jobs ended."""
    ends: Counter[str] = Counter()
    with soak.hub.client(60) as client:
        for source, digest in soak.sources.items():
            check_files(soak, client, source, digest)
        for job_id in soak.jobs:
            answer = client.get(f"/jobs/{job_id}")
            job = answer.json() if answer.status_code == 200 else {"status": f"HTTP {answer.status_code}"}
            ends[f"{job['status']}, attempt {job.get('attempt')}"] += 1
            if job["status"] == "succeeded":
                check_files(soak, client, job["result_id"])
            elif job["status"] != "failed" or not KILLED.search(str(job["error"])):
                soak.wrong.append(f"job {job_id}: {job['status']}: {job.get('error')}")
    doctor = [sys.executable, "-m", "oakmill", "doctor", "--store", "--read"]
    if code := subprocess.call(doctor, env=soak.hub.environment):
        soak.wrong.append(f"oakmill doctor --store --read: {code}")
    return ends


def check_files(soak: Soak, client: httpx.Client, instance: str, digest: str = "") -> None:
    answer = client.get(f"/instances/{instance}/files")
    files = answer.json()["items"] if answer.status_code == 200 else []
    if not files or (digest and digest not in {file["sha256"] for file in files}):
        soak.wrong.append(f"instance {instance}: {answer.status_code}, {len(files)} files")
    for file in files:
        found = httpx.get(file["url"], timeout=60, trust_env=False)
        if hashlib.sha256(found.content).hexdigest() != file["sha256"]:
            soak.wrong.append(f"{file['name']} of {instance}: {found.status_code}, other bytes")


@contextmanager
def running(soak: Soak, users: int, pause: tuple[float, float]) -> Iterator[None]:
    """All who use it, and who kills it, until the time is over."""
    threads = [threading.Thread(target=upload_all, args=(soak, number)) for number in range(1, users + 1)]
    threads += [threading.Thread(target=watch, args=(soak,)), threading.Thread(target=kill_all, args=(soak, pause))]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def show(soak: Soak, ends: Counter[str], left: list[str]) -> None:
    click.echo(f"kills: {sum(soak.kills.values())}: {dict(soak.kills.most_common())}")
    click.echo(
        f"sources acknowledged: {len(soak.sources)}; jobs acknowledged: {len(soak.jobs)}: {dict(ends.most_common())}"
    )
    click.echo(f"requests that were tried again: {soak.tries['tried again']}")
    if soak.outages:
        click.echo(f"longest time without an answer: {max(soak.outages):.1f} s")
    if soak.starts:
        click.echo(f"start after the end of everything: {min(soak.starts):.1f} to {max(soak.starts):.1f} s")
    click.echo(f"folders of jobs that are left: {len(left)}")
    for line in soak.wrong:
        click.echo(f"LOST: {line}")
    click.echo("nothing acknowledged was lost" if not soak.wrong else f"{len(soak.wrong)} things were lost")


@click.command()
@click.option("--minutes", default=15.0, show_default=True, help="How long it is used and killed.")
@click.option("--users", default=2, show_default=True, help="Who upload and convert at once.")
@click.option("--workers", default=2, show_default=True, help="The hub's workers.")
@click.option("--pause", type=(float, float), default=(3.0, 12.0), show_default=True, help="Seconds between two kills.")
@click.option("--seed", default=0, show_default=True, help="Of what is killed when.")
def main(minutes: float, users: int, workers: int, pause: tuple[float, float], seed: int) -> None:
    """Use it, kill it, and judge."""
    hub_servers.PATIENCE = PATIENCE
    with tempfile.TemporaryDirectory(prefix="oakmill-soak-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        (home / "toolchains").symlink_to(installed(), target_is_directory=True)
        with ServedHub(home, workers=workers, variables=LEASE) as hub:
            soak = Soak(hub, random.Random(seed), time.monotonic() + minutes * 60)
            with running(soak, users, pause):
                pass
            settle(soak, PATIENCE)
            ends = judge(soak)
            work = home / "hub" / "work"
            left = [path.name for path in work.iterdir() if path.name.startswith("aij_")] if work.is_dir() else []
            show(soak, ends, left)
            if soak.wrong:
                shutil.copy(hub.log, "soak.log")
                click.echo("the hub's log: soak.log")
    sys.exit(bool(soak.wrong))


if __name__ == "__main__":
    main()
