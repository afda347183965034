"""`oakmill prove --hub` and `benchmark --hub`: an agent of the team has the camera, and the hub the file."""

from __future__ import annotations

import json
from typing import Any

import click

from oakmill.cli.connecting import connected
from oakmill.cli.listing import print_facts
from oakmill.cli.remote import watched
from oakmill.client import Hub, Instance
from oakmill.errors import NotFound

PLATFORMS = ("rvc2", "rvc4")


def measure(url: str, kind: str, address: str, *, images: str | None, as_json: bool, verbose: bool, **how: Any) -> None:
    """Ask for it, follow it to its end, and say what was measured.

    Raises:
        NotFound: there is no such file, or no such set of images.
        Conflict: no camera can measure it.
        OakmillError: it failed; what with, by name.
    """
    with connected(url) as hub:
        row = _instance(hub, address)
        job = hub.agents.measure(row.id, kind, images=images, how=how)
        job = watched(hub, job, as_json=as_json, verbose=verbose)
        job.require_success()
    found = (job.result or {})["measured"]
    if as_json:
        click.echo(json.dumps({"result": {"job": job.id, "instance": row.id, **found}}))
        return
    device = (found.get("speed") or found["proof"])["device"]
    click.echo(f"{device['product']} ({device['platform']}, {device['identifier']}) with {device['firmware']}")
    print_facts(_facts(found))


def _instance(hub: Hub, address: str) -> Instance:
    """The result at an address: an instance's identifier, or a model's latest result for a camera.

    Raises:
        NotFound: there is none.
    """
    if address.startswith("aimi_"):
        return hub.instances.get(address)
    found: list[Instance] = []
    for platform in PLATFORMS:
        try:
            found.append(hub.instances.resolve(address, platform))
        except NotFound:
            continue
    if not found:
        raise NotFound(
            f"There is no result for RVC2 or RVC4 at {address}.", subject=address, remedy="Convert it first."
        )
    return max(found, key=lambda row: row.created)


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    speed, proof = found.get("speed"), found.get("proof")
    rows: dict[str, Any] = {}
    if proof:
        rows |= {"verdict": proof["verdict"], "images": proof["images"], "reasons": proof["reasons"]}
    if speed:
        rows["speed"] = f"{speed['fps']:.1f} FPS, latency {speed['latency_ms']:.2f} ms median"
    return rows
