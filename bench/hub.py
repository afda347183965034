"""The hub beside plain tools and beside itself: uploads, lists, conversions that are known, first stages, polling.

`python bench/hub.py [--quick]` starts a hub of its own in a temporary folder, and prints a figure and its baseline
side by side.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import click
import httpx
from onnx import TensorProto, helper
from sqlalchemy import insert, select

from oakmill.api.hub import open_database
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import instances
from oakmill.registry.identifiers import new_id
from oakmill.registry.tables import Instance, Version
from oakmill.settings import Settings

FIRST = 100
PIECE = 1 << 20


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of everything.")
def main(quick: bool) -> None:
    """Measure, and print."""
    share = 10 if quick else 1
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder, hub(Path(folder)) as (client, settings):
        source = make_source(client)
        upload(client, settings, Path(folder), source, (1 << 30) // share)
        source = make_source(client)
        send(client, source, "relu.onnx", [relu()])
        first_stage(client, source)
        known(client, settings, source)
        lists(client, settings, source, 100_000 // share)
        polling(client, 200 // share, 10 if quick else 30)


def show(what: str, figure: str, baseline: str) -> None:
    """A line of the table."""
    click.echo(f"{what:44} {figure:>26}   {baseline}")


@contextmanager
def hub(folder: Path) -> Iterator[tuple[httpx.Client, Settings]]:
    """A hub with one worker, and an admin's client of it."""
    environment = {**os.environ, "OAKMILL_HOME": str(folder / "home")}  # noqa: TID251 - a hub of its own
    command = [sys.executable, "-m", "oakmill", "serve", "--port", "0", "--workers", "1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        while "1 worker" not in (text := (folder / "log").read_text()):
            if process.poll() is not None:
                raise SystemExit(text)
            time.sleep(0.1)
        url, key = re.findall(r"listens on (\S+)", text)[0], re.findall(r"oak_\w+", text)[0]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=600, trust_env=False) as client:
            yield client, Settings(home=folder / "home")
    except httpx.HTTPStatusError:
        click.echo((folder / "log").read_text()[-4000:], err=True)
        raise
    finally:
        process.terminate()
        process.wait(60)


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    """What the hub answers to a POST."""
    return client.post(path, json=body).raise_for_status().json()


def make_source(client: httpx.Client) -> str:
    """A pending source instance of a new model."""
    model = post(client, "/models", name=f"model {time.monotonic_ns()}")
    version = post(client, f"/models/{model['id']}/versions", variant="small")
    found: str = post(client, "/instances", version_id=version["id"], name="source")["id"]
    return found


def relu() -> bytes:
    """A model of one node."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 13)]
    data: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return data


def send(client: httpx.Client, source: str, name: str, pieces: Any) -> None:
    """Upload a file of an instance."""
    made = post(client, "/uploads", name=name, purpose={"kind": "instance", "instance_id": source})
    path = f"/uploads/{made['id']}"
    client.patch(path, headers={"Upload-Offset": "0"}, content=iter(pieces)).raise_for_status()
    post(client, f"{path}/complete")


def upload(client: httpx.Client, settings: Settings, folder: Path, source: str, size: int) -> None:
    """Weights through our route, against the same bytes hashed and copied by plain tools."""
    path = folder / "weights.bin"
    with path.open("wb") as file:
        for _ in range(size // PIECE):
            file.write(os.urandom(PIECE))

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    ours = timed(lambda: send(client, source, "weights.bin", pieces()))
    plain = timed(lambda: subprocess.check_output(["sha256sum", path]))
    plain += timed(lambda: subprocess.check_call(["cp", path, folder / "copy"]))
    (folder / "copy").unlink()
    path.unlink()
    show(
        f"upload of {size >> 20} MB, seen and inspected",
        f"{ours:.2f} s",
        f"{plain:.2f} s sha256sum + cp, x{ours / plain:.1f}",
    )


def first_stage(client: httpx.Client, source: str) -> None:
    """From the POST to the worker's first stage."""
    began = time.monotonic()
    job = post(client, f"/instances/{source}/conversions", platform="rvc2", name="first")["id"]
    with client.stream("GET", f"/jobs/{job}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data:") and '"stage":"' in line and '"stage":""' not in line:
                break
    show("conversion, POST to first stage", f"{(time.monotonic() - began) * 1000:.0f} ms", "1000 ms wanted")


def known(client: httpx.Client, settings: Settings, source: str) -> None:
    """A conversion that was made before; here the row says so, for no toolchain is needed to measure the answer."""
    body = {"platform": "rvc2", "spec": {"number_of_shaves": 6}}
    job = post(client, f"/instances/{source}/conversions", **body)
    db = open_database(settings)
    with db.session() as session:
        row, made = session.get_one(Job, job["id"]), session.get_one(Instance, job["result_id"])
        row.status, row.key = JobStatus.SUCCEEDED, row.key or "0" * 64
        file = instances.files_of(session, session.get_one(Instance, source))[0]
        instances.add_file(session, made, name="made.blob", sha256=file.sha256, size=file.size)
        instances.set_available(session, made)
    db.close()
    times = [timed(lambda: post(client, f"/instances/{source}/conversions", **body)) for _ in range(20)]
    again = post(client, f"/instances/{source}/conversions", **body)
    status = client.get(f"/instances/{again['result_id']}").json()["status"]
    show(f"known conversion, POST to {status}", f"{p95(times) * 1000:.0f} ms p95", "no job is run")


def lists(client: httpx.Client, settings: Settings, source: str, count: int) -> None:
    """Lists and searches among many instances, against the same among few."""
    fill(settings, source, FIRST)
    few, few_found = asked(client)
    fill(settings, source, count)
    many, many_found = asked(client)
    for what, now, before in (("list", many, few), ("search", many_found, few_found)):
        baseline = f"{before * 1000:.0f} ms among {FIRST}, x{now / before:.1f}"
        show(f"{what} among {count} instances", f"{now * 1000:.0f} ms p95", baseline)


def fill(settings: Settings, source: str, count: int) -> None:
    """Add instances beside a source, by the database."""
    db = open_database(settings)
    with db.session() as session:
        version = session.get_one(Version, session.scalar(select(Instance.version_id).where(Instance.id == source)))
        place = {
            "team_id": version.team_id, "model_id": version.model_id, "variant_id": version.variant_id,
            "version_id": version.id, "visibility": "team", "model_type": "ONNX", "status": "available",
        }  # fmt: skip
        for start in range(0, count, 10_000):
            names = [f"bulk number {number}" for number in range(start, min(count, start + 10_000))]
            rows = [{**place, "id": new_id("aimi"), "name": name, "slug": name, "words": name} for name in names]
            session.execute(insert(Instance), rows)
    db.close()


def asked(client: httpx.Client) -> tuple[float, float]:
    """p95 of a first page, and of a search by text."""
    page = [timed(lambda: client.get("/instances").raise_for_status()) for _ in range(20)]
    words = {"text": "number 77"}
    found = [timed(lambda: client.get("/instances", params=words).raise_for_status()) for _ in range(20)]
    return p95(page), p95(found)


def polling(client: httpx.Client, clients: int, seconds: int) -> None:
    """Many clients that each ask for a job once a second, against one alone."""
    job = client.get("/jobs").json()["items"][0]["id"]
    address = str(client.base_url).rstrip("/")
    alone = asyncio.run(_polled(address, dict(client.headers), job, 1, 3))
    together = asyncio.run(_polled(address, dict(client.headers), job, clients, seconds))
    show(
        f"{clients} clients that poll a job each second",
        f"{p95(together) * 1000:.0f} ms p95",
        f"{p95(alone) * 1000:.0f} ms alone",
    )


async def _polled(url: str, headers: dict[str, str], job: str, clients: int, seconds: int) -> list[float]:
    times: list[float] = []
    ends = time.monotonic() + seconds

    async def one(number: int) -> None:
        # each client of its own would read all certificates first, which takes longer than what is measured
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, verify=False) as client:
            await asyncio.sleep(number / clients)
            while time.monotonic() < ends:
                began = time.monotonic()
                (await client.get(f"{url}/jobs/{job}")).raise_for_status()
                times.append(time.monotonic() - began)
                await asyncio.sleep(max(0.0, 1 - times[-1]))

    await asyncio.gather(*(one(number) for number in range(clients)))
    return times


def timed(deed: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    deed()
    return time.monotonic() - began


def p95(times: list[float]) -> float:
    """The time that 95 of 100 stay below."""
    return quantiles(times, n=20)[-1]


if __name__ == "__main__":
    main()
