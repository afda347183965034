"""The hub beside plain tools and beside itself: uploads, lists, conversions that are known, first stages, polling.

`python bench/hub.py [--quick]` starts a hub of its own in a temporary folder, with the user's RVC2 toolchain,
and prints a figure and its baseline side by side.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import httpx
import numpy as np
import psutil
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from sqlalchemy import insert, select

from oakmill.processes.events import ignore
from oakmill.registry.identifiers import new_id
from oakmill.registry.tables import Instance, Version
from oakmill.settings import Settings, current
from oakmill.storage.database import Database
from oakmill.toolchains.installing import install_missing
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain

sys.path.append(str(Path(__file__).parent.parent))
from tests.hub_servers import ServedHub

FIRST = 100
PIECE = 1 << 20
WIDTH = 4096
DEEP = 40
ROUNDS = 3
SILENT = 1100
TRIES = 5
SETTLE_SECONDS = 4.0


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of everything.")
@click.option("--strangers", is_flag=True, help="Only lists beside connections that say nothing.")
def main(quick: bool, strangers: bool) -> None:
    """Measure, and print."""
    share = 10 if quick else 1
    if strangers:
        with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder, hub(Path(folder)) as (client, settings):
            fill(settings, make_source(client), FIRST)
            beside_strangers(client, 200 // share, 10 if quick else 20)
        return
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder, hub(Path(folder)) as (client, settings):
        uploads(client, Path(folder), (1 << 30) // share)
        source = make_source(client)
        send(client, source, "relu.onnx", [relu()])
        first_stage(client, source)
        known(client, source)
        lists(client, settings, source, 100_000 // share)
        polling(client, 200 // share, 10 if quick else 30)


def show(what: str, figure: str, baseline: str) -> None:
    """A line of the table."""
    click.echo(f"{what:44} {figure:>26}   {baseline}")


@contextmanager
def hub(folder: Path) -> Iterator[tuple[httpx.Client, Settings]]:
    """A hub with two workers, and an admin's client of it."""
    (folder / "toolchains").symlink_to(installed(), target_is_directory=True)
    with ServedHub(folder, workers=2) as served, served.client(600) as client:
        try:
            yield client, Settings(home=folder)
        except httpx.HTTPStatusError:
            click.echo(served.log.read_text()[-4000:], err=True)
            raise


def installed() -> Path:
    """The folder of the user's toolchains, with RVC2's among them."""
    settings = current()
    install_missing([Rvc2Toolchain(settings)], settings, click.echo, ignore)
    return settings.toolchains


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
    data: bytes = graph([helper.make_node("Relu", ["x"], ["y"])], [1, 3, 8, 8]).SerializeToString()
    return data


def model(rows: int) -> ModelProto:
    """A matrix of that many rows, in one file."""
    made = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [1, rows])
    values = np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(np.float32)
    made.graph.initializer.append(numpy_helper.from_array(values, "w"))
    return made


def slow(seed: int) -> bytes:
    """A model that takes a while to compile."""
    random = np.random.default_rng(seed)
    names = ["x", *(f"t{number}" for number in range(DEEP - 1)), "y"]
    nodes = [helper.make_node("Conv", [names[n], f"w{n}"], [names[n + 1]], pads=[1] * 4) for n in range(DEEP)]
    made = graph(nodes, [1, 3, 64, 64])
    for number in range(DEEP):
        values = (random.normal(size=(3 if number == DEEP - 1 else 48, 48 if number else 3, 3, 3)) / 20).astype("f")
        made.graph.initializer.append(numpy_helper.from_array(values, f"w{number}"))
    data: bytes = made.SerializeToString()
    return data


def graph(nodes: list[NodeProto], shape: list[int]) -> ModelProto:
    """A model from x to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opset, ir_version=8)


def send(client: httpx.Client, source: str, name: str, pieces: Any) -> None:
    """Upload a file of an instance."""
    made = post(client, "/uploads", name=name, purpose={"kind": "instance", "instance_id": source})
    path = f"/uploads/{made['id']}"
    client.patch(path, headers={"Upload-Offset": "0"}, content=iter(pieces)).raise_for_status()
    post(client, f"{path}/complete")


def uploads(client: httpx.Client, folder: Path, size: int) -> None:
    """A model by our route and by HubAI's form, against the same bytes hashed and copied by plain tools, in turns."""
    path = folder / "large.onnx"
    path.write_bytes(model(rows=size // (WIDTH * 4)).SerializeToString())
    times: dict[str, list[float]] = {"our route": [], "HubAI's form": [], "plain": []}
    for _ in range(ROUNDS):
        times["plain"].append(timed(lambda: plain(path)))
        times["our route"].append(timed(lambda: send(client, make_source(client), path.name, pieces(path))))
        times["HubAI's form"].append(timed(lambda: fill_in(client, path)))
    path.unlink()
    baseline = median(times.pop("plain"))
    for way, taken in times.items():
        show(
            f"{size >> 20} MB by {way}, looked at and taken in",
            f"{median(taken):.2f} s",
            f"{baseline:.2f} s sha256sum + cp, {baseline / median(taken):.2f} of its speed",
        )
    show("  the web process's memory at its highest", f"{highest_memory()} MB", "150 MB wanted")


def plain(path: Path) -> None:
    """What has to be done to the bytes at least."""
    subprocess.check_output(["sha256sum", path])
    subprocess.check_call(["cp", path, path.with_suffix(".copy")])
    path.with_suffix(".copy").unlink()


def pieces(path: Path) -> Iterator[bytes]:
    """A file's bytes."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def fill_in(client: httpx.Client, path: Path) -> None:
    """Upload a model as HubAI's client does: a form, with the fields that the hub gave, and the file behind them."""
    base = str(client.base_url).removesuffix("/api/v1/")
    asked = {"name": path.name, "size": str(path.stat().st_size)}
    url = f"{base}/models/api/v1/modelInstances/{make_source(client)}/upload_async"
    policy = client.post(url, params=asked).raise_for_status().json()["policy"]
    with path.open("rb") as file:
        form = {"data": policy["fields"], "files": {"file": (path.name, file)}}
        httpx.post(policy["url"], timeout=600, trust_env=False, **form).raise_for_status()


def highest_memory() -> int:
    """The most that the hub's web process ever held, in MB."""
    for process in psutil.Process().children(recursive=True):
        if "oakmill.server.web" in process.cmdline():
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) >> 10
    raise SystemExit("there is no web process")


def first_stage(client: httpx.Client, source: str) -> None:
    """From the POST to the worker's first stage, with nothing else to do; the jobs run to their ends in between."""
    times = []
    for shaves in range(1, TRIES + 1):
        began = time.monotonic()
        job = ask(client, source, shaves)["id"]
        with client.stream("GET", f"/jobs/{job}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data:") and '"stage":"' in line and '"stage":""' not in line:
                    times.append(time.monotonic() - began)
                    break
        ended(client, job)
    slowest = f"slowest of {TRIES}: {max(times) * 1000:.0f} ms"
    show("conversion, POST to first stage", f"{median(times) * 1000:.0f} ms", f"100 ms wanted; {slowest}")


def known(client: httpx.Client, source: str) -> None:
    """Conversions that were made before, asked for again."""
    times = []
    for number in range(20):
        began = time.monotonic()
        again = ask(client, source, number % TRIES + 1)
        status = client.get(f"/instances/{again['result_id']}").raise_for_status().json()["status"]
        times.append(time.monotonic() - began)
        if status != "available":
            raise SystemExit(f"a known conversion's result is {status}")
    figure = f"{median(times) * 1000:.0f} ms, {p95(times) * 1000:.0f} ms p95"
    show("known conversion, POST to available", figure, "150 ms wanted")


def ask(client: httpx.Client, source: str, shaves: int) -> Any:
    """Ask for a blob for that many SHAVE cores; the job."""
    spec = {"blob": True, "number_of_shaves": shaves}
    return post(client, f"/instances/{source}/conversions", platform="rvc2", name=f"{shaves} shaves", spec=spec)


def ended(client: httpx.Client, job: str) -> None:
    """Wait for a job's end."""
    while client.get(f"/jobs/{job}").json()["finished"] is None:
        time.sleep(0.2)
    time.sleep(SETTLE_SECONDS)  # the worker warms up its next process


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
    db = Database.of(settings)
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
    """Many clients that each ask for a job once a second while two conversions run, against one alone at rest."""
    job = client.get("/jobs").json()["items"][0]["id"]
    address = str(client.base_url).rstrip("/")
    alone = asyncio.run(_polled(f"{address}/jobs/{job}", dict(client.headers), 1, 3))
    running = [start_slow(client, number) for number in range(2)]
    together = asyncio.run(_polled(f"{address}/jobs/{job}", dict(client.headers), clients, seconds))
    ends = [client.get(f"/jobs/{one}").json()["status"] for one in running]
    for name, of in (("p95", p95), ("p99", p99)):
        show(
            f"{clients} clients that poll each second, 2 jobs",
            f"{of(together) * 1000:.0f} ms {name}",
            f"{of(alone) * 1000:.0f} ms alone",
        )
    show("  answered, and none refused", f"{len(together) / seconds:.0f} in a second", f"the jobs are {ends}")


def beside_strangers(client: httpx.Client, clients: int, seconds: int) -> None:
    """Many clients that each ask for a list once a second, with and without connections that say nothing, in turns."""
    address = str(client.base_url).rstrip("/")
    with_them: list[float] = []
    without: list[float] = []
    for _ in range(ROUNDS):
        without += asyncio.run(_polled(f"{address}/models", dict(client.headers), clients, seconds))
        silent = [socket.create_connection((client.base_url.host, client.base_url.port or 80)) for _ in range(SILENT)]
        with_them += asyncio.run(_polled(f"{address}/models", dict(client.headers), clients, seconds))
        for stranger in silent:
            stranger.close()
    ratio = p95(with_them) / p95(without)
    show(
        f"{clients} clients on lists, {SILENT} silent connections",
        f"{p95(with_them) * 1000:.0f} ms p95",
        f"{p95(without) * 1000:.0f} ms without, x{ratio:.2f}",
    )


def start_slow(client: httpx.Client, number: int) -> str:
    """A conversion that runs a while."""
    source = make_source(client)
    send(client, source, "slow.onnx", [slow(number)])
    job = post(client, f"/instances/{source}/conversions", platform="rvc2", name=f"slow {number}", spec={})
    while client.get(f"/jobs/{job['id']}").json()["status"] == "queued":
        time.sleep(0.05)
    return str(job["id"])


async def _polled(url: str, headers: dict[str, str], clients: int, seconds: int) -> list[float]:
    times: list[float] = []
    ends = time.monotonic() + seconds

    async def one(number: int) -> None:
        # each client of its own would read all certificates first, which takes longer than what is measured
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, verify=False) as client:
            await asyncio.sleep(number / clients)
            while time.monotonic() < ends:
                began = time.monotonic()
                (await client.get(url)).raise_for_status()
                times.append(time.monotonic() - began)
                await asyncio.sleep(max(0.0, 1 - times[-1]))

    await asyncio.gather(*(one(number) for number in range(clients)))
    return times


def timed(deed: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    deed()
    return time.monotonic() - began


def p99(times: list[float]) -> float:
    """The time that 99 of 100 stay below."""
    return quantiles(times, n=100)[-1]


def p95(times: list[float]) -> float:
    """The time that 95 of 100 stay below."""
    return quantiles(times, n=20)[-1]


if __name__ == "__main__":
    main()
