"""depthai's model zoo, unmodified, led to the hub: the converted archive comes, and opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat import makers
from tests.compat.conftest import Sdk
from tests.compat.test_sdk_conversions import ask
from tests.hub_servers import ServedHub

PROGRAM = """
import json, sys
import depthai as dai
url, slug, platform, cache = sys.argv[1:]
dai.modelzoo.setHealthEndpoint(f"{url}/models/api/v1/health/")
dai.modelzoo.setDownloadEndpoint(f"{url}/models/api/v1/models/download")
path = dai.getModelFromZoo(dai.NNModelDescription(slug, platform=platform), cacheDirectory=cache)
archive = dai.NNArchive(str(path))
print(json.dumps({"path": str(path), "inputs": [item.name for item in archive.getConfig().model.inputs]}))
"""


def from_zoo(hub: ServedHub, slug: str, platform: str, cache: Path, key: str = "") -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "DEPTHAI_TELEMETRY": "0", "no_proxy": "127.0.0.1"}  # noqa: TID251
    return subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
        [sys.executable, "-c", PROGRAM, hub.url, slug, platform, str(cache)],
        env={**variables, "DEPTHAI_HUB_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def converted(hub: ServedHub, sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The slug of a model with results for RVC2 and RVC4."""
    folder = tmp_path_factory.mktemp("zoo")
    path = str(makers.tiny(folder / "zoo.onnx"))
    calls = [
        ("RVC2", {"path": path, "name": "Zoo net"}),
        ("RVC4", {"path": path, "name": "Zoo net", "quantization_mode": "FP16_STANDARD"}),
    ]
    for answer in ask(sdk, hub, folder, calls):
        assert "error" not in answer, answer
    return "default/zoo-net:zoo-net-32x48"


@pytest.mark.timeout(1900)
@pytest.mark.parametrize("platform", ["RVC2", "RVC4"])
def test_depthai_gets_and_opens_the_result(hub: ServedHub, converted: str, platform: str, tmp_path: Path) -> None:
    done = from_zoo(hub, converted, platform, tmp_path, hub.key)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["inputs"] == ["image"] and found["path"].endswith(".tar.xz")


@pytest.mark.timeout(1900)
def test_what_is_not_there_or_not_to_be_seen_is_said(hub: ServedHub, converted: str, tmp_path: Path) -> None:
    missing = from_zoo(hub, "default/no-such-net", "RVC2", tmp_path, hub.key)
    assert missing.returncode != 0 and "no-such-net" in missing.stdout + missing.stderr
    unseen = from_zoo(hub, converted, "RVC2", tmp_path)
    assert unseen.returncode != 0


@pytest.mark.timeout(1900)
def test_the_answer_has_what_depthai_wants(hub: ServedHub, converted: str) -> None:
    with hub.client(path="") as client:
        assert client.get("/models/api/v1/health/").status_code == 200
        asked = {"slug": converted, "platform": "RVC4", "modelPrecisionType": "FP16"}
        found = client.get("/models/api/v1/models/download", params=asked).raise_for_status().json()
        assert set(found) == {"hash", "download_links", "model_id", "model_version_id", "model_instance_id"}
        assert all(found.values()) and all(link.startswith(hub.url) for link in found["download_links"])
        none = client.get("/models/api/v1/models/download", params={**asked, "modelPrecisionType": "INT8"})
        assert none.status_code == 404
