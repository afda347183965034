"""The hub's pages among many models: the server's time, the bytes of script and style, and the first paint.

`python bench/web.py [--quick]` starts a hub of its own in a temporary folder, and fills it through the registry.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import click
import httpx
from hub import hub, make_source, p95, post, relu, send, timed
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import insert, inspect, select, update
from sqlalchemy.orm import Session

from oakmill.jobs.tables import Job, JobStatus, WorkerRow
from oakmill.registry import instances, keys, models, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import new_id
from oakmill.settings import Settings
from oakmill.storage.database import Database

CHROMIUM = "/usr/bin/chromium"
TIMES = 30
BATCH = 500
WAITING = 200
LINE = "{:34}{:>10}{:>10}{:>11}{:>11}{:>13}{:>13}"
PACKED = {"Accept-Encoding": "gzip", "Accept": "text/html"}


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the models.")
def main(quick: bool) -> None:
    """Measure, and print."""
    count = 1000 if quick else 10_000
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder, hub(Path(folder)) as (client, settings):
        key = client.headers["authorization"].partition(" ")[2]
        paths = shown(client)
        seconds = timed(lambda: seed(settings, key, count))
        click.echo(f"{count} models, each with a version and an instance, made in {seconds:.0f} s\n")
        click.echo(LINE.format("page", "median", "p95", "HTML", "its files", "first paint", "from cache"))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            for path in paths:
                measure(client, browser, key, path)
            browser.close()


def shown(client: httpx.Client) -> list[str]:
    """The addresses of pages of every kind; the model that they show is there first."""
    source = make_source(client)
    send(client, source, "relu.onnx", [relu()])
    job = post(client, f"/instances/{source}/conversions", platform="rvc2", name="first")["id"]
    while client.get(f"/jobs/{job}").json()["status"] in ("queued", "running"):
        time.sleep(0.2)
    model = client.get(f"/instances/{source}").json()["model_id"]
    return [
        "/models", "/models?text=number+77", "/models?task=CLASSIFICATION&sort=name", f"/models/{model}",
        f"/instances/{source}", f"/instances/{source}/convert", f"/instances/{source}/convert/rvc4", "/models/new",
        "/conversions", "/conversions?status=live", f"/jobs/{job}", "/datasets", "/keys", "/troubleshooting",
        "/toolchains",  # last: its first look weighs the folders of tools, for some seconds
    ]  # fmt: skip


def seed(settings: Settings, key: str, count: int) -> None:
    """Models as a client would make them, each with a version and an instance of a source."""
    db = Database.of(settings)
    for start in range(0, count, BATCH):
        with db.session() as session:
            caller = keys.authenticate(session, key)
            for number in range(start, min(count, start + BATCH)):
                _model(session, caller, number)
    db.close()


def _model(session: Session, caller: Caller, number: int) -> None:
    task = ["CLASSIFICATION", "OBJECT_DETECTION", "SEGMENTATION"][number % 3]
    name = f"model number {number}"
    model = models.create(session, caller, name=name, summary="Finds what it was trained to find.", tasks=[task])
    version = variants.add_version(session, caller, model.id, name="640x640")
    row = instances.create(session, caller, version.id, name="source", model_type="ONNX")
    instances.add_file(session, row, name="source.onnx", sha256=f"{number:064x}", size=12_000_000)
    instances.set_available(session, row)


def add_jobs(settings: Settings, past: int, waiting: int) -> None:
    """Copies of the one job: what it was in the past, and what waits for workers that are all paused."""
    db = Database.of(settings)
    with db.session() as session:
        session.execute(update(WorkerRow).values(paused=True))
        first = session.scalars(select(Job)).one()
        row = {column.key: getattr(first, column.key) for column in inspect(Job).mapper.column_attrs}
        waits: dict[str, Any] = {
            "status": JobStatus.QUEUED,
            "started": None,
            "finished": None,
            "result_id": None,
            "key": None,
            "stages": [],
        }
        rows = [
            {**row, "id": new_id("aij"), "number": 2 + number, **(waits if number >= past else {})}
            for number in range(past + waiting)
        ]
        session.execute(insert(Job), rows)
    db.close()


def measure(client: httpx.Client, browser: Browser, key: str, path: str) -> None:
    """One line: what the server takes, what travels, and when the first words stand there."""
    root = str(client.base_url).partition("/api/")[0]
    client.get(root + path, headers=PACKED).raise_for_status()
    times = [timed(lambda: client.get(root + path, headers=PACKED)) for _ in range(TIMES)]
    page = client.get(root + path, headers=PACKED)
    files = sum(_files(client, root, page.text).values())
    paints = _paints(browser, root, key, path) if "<html" in page.text else {"cold": 0.0, "warm": 0.0}
    name = re.sub(r"_\w{10,}", "_…", path)
    served = [f"{median(times) * 1000:.0f} ms", f"{p95(times) * 1000:.0f} ms"]
    travelled = [f"{page.num_bytes_downloaded / 1000:.1f} kB", f"{files / 1000:.1f} kB"]
    painted = [f"{paints[how]:.0f} ms" for how in ("cold", "warm")]
    click.echo(LINE.format(name, *served, *travelled, *painted))


def _files(client: httpx.Client, root: str, page: str) -> dict[str, int]:
    """Scripts and styles that the page loads, modules of modules too, with their bytes as they travel."""
    found: dict[str, int] = {}
    waiting = re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css))"', page)
    while waiting:
        address = waiting.pop()
        if address not in found:
            answer = client.get(root + address, headers=PACKED).raise_for_status()
            found[address] = answer.num_bytes_downloaded
            waiting += [f"{address.rpartition('/')[0]}/{name}" for name in _imports(address, answer.text)]
    return found


def _imports(address: str, text: str) -> Iterator[str]:
    if "/vendor/" not in address:
        yield from re.findall(r'from "\./([\w.]+)"', text)


def _paints(browser: Browser, root: str, key: str, path: str) -> dict[str, float]:
    """First contentful paint in milliseconds: with nothing in the browser's cache, and the second time."""
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(3):
        context = browser.new_context(base_url=root)
        context.request.post("/session", form={"key": key})
        page = context.new_page()
        for times in (cold, warm):
            page.goto(path)
            times.append(float(_painted(page)))
        context.close()
    return {"cold": median(cold), "warm": median(warm)}


def _painted(page: Any) -> Any:
    asked = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    page.wait_for_function(asked)
    return page.evaluate(asked)


if __name__ == "__main__":
    main()
