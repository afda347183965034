"""Jobs of the pages' hub that really ran: asked for over the API, and run by a worker that ends with its job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper
from sqlalchemy.orm import Session

from oakmill.settings import Settings
from oakmill.storage.database import Database
from tests import in_process
from tests.web.furnish import Hub, add_source, made

SECONDS = 240


def unsupported() -> bytes:
    """A network with an operator that RVC2's compiler does not have."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 32, 32])
    nodes = [
        helper.make_node("Relu", ["images"], ["r"], "backbone/relu"),
        helper.make_node("MaxRoiPool", ["r", "rois"], ["out"], "head/rois", pooled_shape=[32, 32]),
    ]
    rois = helper.make_tensor("rois", TensorProto.FLOAT, [1, 5], [0, 0, 0, 31, 31])
    graph = helper.make_graph(nodes, "net", [image], [out], [rois])
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    return data


def source(hub: Hub, name: str, data: bytes, file: str = "net.onnx") -> str:
    """The identifier of a new model's source."""
    with hub.client() as client:
        model = made(client, "/models", {"name": name})
        return str(add_source(client, model["id"], data, file=file, variant="only")["id"])


def asked(hub: Hub, source_id: str, platform: str = "rvc2", **body: Any) -> dict[str, Any]:
    """A job that waits for a worker."""
    with hub.client() as client:
        return made(client, f"/instances/{source_id}/conversions", {"platform": platform, **body})


def worker(home: Path, job_id: str) -> subprocess.Popen[bytes]:
    """A worker that runs that job, and ends."""
    command = [sys.executable, "-m", "oakmill", "worker", "--once", job_id]
    return subprocess.Popen(command, env={**os.environ, "OAKMILL_HOME": str(home)}, stdout=subprocess.DEVNULL)  # noqa: TID251


def ran(hub: Hub, home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it ended. It ran in this process: a worker's own takes seconds to start, twice."""
    in_process.work(Settings(home=home), job["id"])
    with hub.client() as client:
        found: dict[str, Any] = client.get(f"/jobs/{job['id']}").json()
    return found


@contextmanager
def database(home: Path) -> Iterator[Session]:
    """A transaction in the hub's own database."""
    opened = Database(f"sqlite:///{Settings(home=home).hub / 'hub.sqlite'}")
    try:
        with opened.session() as session:
            yield session
    finally:
        opened.close()
