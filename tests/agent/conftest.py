"""A hub with a finished file for RVC2, and agents as processes of their own with a camera that is not there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests import in_process
from tests.compat import makers
from tests.conftest import PROJECT
from tests.hub_servers import PATIENCE, ServedHub
from tests.tools import link_toolchains
from tests.web import furnish
from tests.web.working import asked, ran, source

STAND_IN = Path(__file__).parent / "stand_in"
LEASE = 3.0
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Hub(furnish.Hub):
    """A hub that serves, with the file that is measured, its source and the images."""

    served: ServedHub | None = None
    model: Path = Path()
    instance: str = ""
    source: str = ""
    agents: list[subprocess.Popen[str]] = field(default_factory=list)

    def measure(self, kind: str = "benchmark", **body: Any) -> str:
        """The identifier of a job that waits for an agent."""
        how = {"seconds": 0.5, "warm_up": 0, "max_images": 4}
        with self.client() as client:
            path = f"/instances/{self.instance}/measurements"
            return str(furnish.made(client, path, {"kind": kind, "how": how, **body})["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        with self.client() as client:
            found: dict[str, Any] = client.get(f"/jobs/{job_id}").raise_for_status().json()
            return found

    def facts(self) -> dict[str, Any]:
        """What the file's instance says of itself."""
        with self.client() as client:
            found: dict[str, Any] = client.get(f"/instances/{self.instance}").raise_for_status().json()
            return found

    def log(self, job_id: str) -> list[str]:
        with self.client() as client:
            return [line["text"] for line in client.get(f"/jobs/{job_id}/log").json()["items"]]

    def agent(self, *words: str, key: str | None = None, **camera: Any) -> subprocess.Popen[str]:
        """`oakmill agent` with a camera of this kind."""
        assert self.served is not None
        described = json.dumps({"model": str(self.model), **camera})
        environment = {
            **self.served.environment,
            "PYTHONPATH": f"{STAND_IN}:{PROJECT}",
            "STAND_IN_CAMERA": described,
            "OAKMILL_KEY": key or self.key,
        }
        command = [sys.executable, "-m", "oakmill", "agent", "--hub", self.url, *words]
        agent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.agents.append(agent)
        return agent

    def once(self, **camera: Any) -> str:
        """What an agent said that ran one job to its end."""
        said, _ = self.agent("--once", **camera).communicate(timeout=PATIENCE)
        return said

    def wait(self, job_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job, once it is so."""
        deadline = time.monotonic() + PATIENCE
        while not until(found := self.job(job_id)):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def ended(self, job_id: str) -> dict[str, Any]:
        return self.wait(job_id, lambda job: job["status"] in ENDED)

    def measuring(self, job_id: str) -> dict[str, Any]:
        """The job, once the camera runs its file."""
        return self.wait(job_id, lambda job: "measuring" in str(job["progress"].get("text")))

    def other_team(self) -> httpx.Client:
        """A client with a key of another team."""
        assert self.served is not None
        home = str(self.served.home)
        in_process.run("keys", "add-team", "others", OAKMILL_HOME=home)
        said = in_process.run("keys", "create", "other", "--team", "others", "--scope", "convert", OAKMILL_HOME=home)
        key = next(word for word in said.stdout.split() if word.startswith("oak_"))
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url + furnish.API, headers=headers, timeout=60, trust_env=False)


def images(count: int = 4) -> bytes:
    """A zip of drawn noise."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for place in range(count):
            buffer = io.BytesIO()
            pixels = np.random.default_rng(place).integers(0, 255, (32, 48, 3), np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG")
            file.writestr(f"{place}.png", buffer.getvalue())
    return packed.getvalue()


def add_set(client: httpx.Client, name: str, data: bytes) -> str:
    """The slug of a calibration set of the team's."""
    body = {"name": "set.zip", "size": len(data), "purpose": {"kind": "dataset", "name": name}}
    upload = furnish.made(client, "/uploads", body)
    client.patch(f"/uploads/{upload['id']}", content=data, headers={"Upload-Offset": "0"}).raise_for_status()
    client.post(f"/uploads/{upload['id']}/complete").raise_for_status()
    return name


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("agents")
    home = folder / "home"
    home.mkdir()
    link_toolchains(home)
    model = makers.tiny(folder / "tiny.onnx")
    variables = {"OAKMILL_LEASE_SECONDS": str(LEASE), "OAKMILL_BEAT_SECONDS": "0.5"}
    with ServedHub(home, variables=variables) as served:
        hub = Hub(served.url, served.key, served, model)
        hub.source = source(hub, "Tiny", model.read_bytes(), "tiny.onnx")
        with hub.client() as client:
            held_out = add_set(client, "four", images())
        spec = {"inputs": [{"encoding_to": "RGB"}], "verification_images": held_out, "max_verification_images": 4}
        made = ran(hub, home, asked(hub, hub.source, spec=spec))
        assert made["status"] == "succeeded", made
        hub.instance = str(made["result_id"])
        yield hub


@pytest.fixture
def hub(shared_hub: Hub) -> Iterator[Hub]:
    """The hub; its agents end with the test, and no job waits for the next."""
    yield shared_hub
    for process in shared_hub.agents:
        if process.poll() is None:
            process.kill()
        process.communicate()
    shared_hub.agents.clear()
    with shared_hub.client() as client:
        for agent in client.get("/agents").json()["items"]:  # one that was killed is counted on for a minute
            client.delete(f"/agents/{agent['name']}")
        for status in ("queued", "running"):
            for job in client.get("/jobs", params={"status": status}).json()["items"]:
                client.post(f"/jobs/{job['id']}/cancel")
