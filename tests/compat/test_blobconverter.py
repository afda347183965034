"""blobconverter's Python client, unmodified, led to the hub by set_defaults(url=...): it gets a blob that opens."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import depthai
import onnx
import pytest

from tests.compat import makers
from tests.hub_servers import ServedHub

PROGRAM = """
import json, sys
from pathlib import Path
import requests

ask = requests.get

def get(url, **more):  # what the bucket of the retired service answers: the client looks there first, whatever its url
    if url.startswith("https://blobconverter.s3.amazonaws.com/"):
        found = requests.Response()
        found.status_code = 403
        return found
    return ask(url, **more)

requests.get = get
import blobconverter

url, calls = sys.argv[1], json.loads(sys.argv[2])
blobconverter.set_defaults(url=url, output_dir=Path("blobs"), silent=True)
for name, parameters in calls:
    try:
        print("ANSWER " + json.dumps({"path": str(Path(getattr(blobconverter, name)(**parameters)).resolve())}))
    except Exception as error:
        print("ANSWER " + json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""
PLAIN: dict[str, Any] = {"optimizer_params": [], "shaves": 5}


def ask(python: Path, url: str, folder: Path, calls: list[tuple[str, dict[str, Any]]]) -> list[dict[str, str]]:
    """What came of each call; what the client prints is under "said" of the next one."""
    done = subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
        [python, "-c", PROGRAM, url, json.dumps(calls)],
        cwd=folder,
        env={**os.environ, "no_proxy": "127.0.0.1"},  # noqa: TID251
        capture_output=True,
        text=True,
        timeout=1200,
    )
    found: list[dict[str, str]] = []
    said = ""
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER "):
            found.append({**json.loads(line.removeprefix("ANSWER ")), "said": said})
            said = ""
        else:
            said += line
    assert len(found) == len(calls), done.stdout + done.stderr
    return found


@pytest.mark.timeout(1900)
def test_its_client_gets_a_blob(hub: ServedHub, blobconverter: Path, tmp_path: Path) -> None:
    model = makers.tiny(tmp_path / "tiny.onnx")
    wrong = onnx.load(model)
    wrong.graph.node[0].op_type = "Bernoulli"
    del wrong.graph.node[0].attribute[:], wrong.graph.node[0].input[1:]
    onnx.save(wrong, tmp_path / "wrong.onnx")
    (tmp_path / "frozen.pb").write_bytes(b"x")
    scaled = ["--mean_values=[127.5,127.5,127.5]", "--scale_values=[255,255,255]", "--reverse_input_channels"]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("from_onnx", {"model": str(model), **PLAIN}),
        ("from_onnx", {"model": str(model), "optimizer_params": scaled, "shaves": 5, "use_cache": False}),
        ("from_onnx", {"model": str(tmp_path / "wrong.onnx"), **PLAIN}),
        ("from_tf", {"frozen_pb": str(tmp_path / "frozen.pb"), **PLAIN}),
        ("from_onnx", {"model": str(model), "version": "2021.4", **PLAIN}),
        ("zoo_list", {}),
    ]
    with_key = hub.url.replace("http://", f"http://key:{hub.key}@") + "/blobconverter"
    plain, prepared, wrong_op, frozen, older, zoo = ask(blobconverter, with_key, tmp_path, calls)
    for answer in (plain, prepared):
        assert "error" not in answer, answer
        blob = depthai.OpenVINO.Blob(Path(answer["path"]))
        assert (list(blob.networkInputs), blob.numShaves) == (["image"], 5)
        assert blob.networkInputs["image"].dataType == depthai.TensorInfo.DataType.U8F
    assert "Bernoulli" in wrong_op["said"] and "400" in wrong_op["error"]
    assert "from_onnx" in frozen["said"]
    assert "2021.4" in older["said"]
    assert "error" in zoo or zoo["path"]
    with hub.client(path="") as client:
        (found,) = client.get("/api/v1/models", params={"slug": "tiny"}).raise_for_status().json()["items"]
        rows = client.get("/api/v1/instances", params={"model_id": found["id"]}).raise_for_status().json()["items"]
    assert [row["model_type"] for row in rows].count("ONNX") == 1, "the same bytes are one source"


@pytest.mark.timeout(600)
def test_without_a_key_nothing_is_converted(hub: ServedHub, blobconverter: Path, tmp_path: Path) -> None:
    model = makers.tiny(tmp_path / "keyless.onnx")
    (answer,) = ask(
        blobconverter, f"{hub.url}/blobconverter", tmp_path, [("from_onnx", {"model": str(model), **PLAIN})]
    )
    assert "401" in answer["error"]
