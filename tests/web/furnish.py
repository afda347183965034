"""Fills a hub over its API with what pages are looked at with: models of all kinds, long names, many instances."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

import httpx
from onnx import TensorProto, helper

API = "/api/v1"
CARD = """## What it does

Finds **forklifts, pallets and people** in pictures of warehouses, at 30 frames a second.

| Set | mAP50 | mAP50-95 |
|---|---|---|
| validation | 0.912 | 0.674 |
| night shift | 0.871 | 0.610 |

## How it was trained

1. Start from the public weights.
2. 120 epochs at 416 × 416, mosaic off for the last ten.

```python
import depthai as dai
pipeline = dai.Pipeline()
```

> Not for safety functions.

<script>alert("no")</script> ![a picture](https://example.com/tracker.png) [a trap](javascript:alert(1))
"""


def network(size: int = 64, *, name: str = "images", channels: int = 3) -> bytes:
    """A small network that every platform takes: a convolution, an activation, a mean, logits."""
    image = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, size, size])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 8])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, channels, 3, 3], [0.1] * (72 * channels))
    nodes = [
        helper.make_node("Conv", [name, "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["logits"], "flatten"),
    ]
    graph = helper.make_graph(nodes, "net", [image], [logits], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def archive(size: int = 64) -> bytes:
    """The same network in an NN Archive that says how its pictures are to be prepared."""
    described = {
        "name": "images",
        "dtype": "float32",
        "input_type": "image",
        "shape": [1, 3, size, size],
        "layout": "NCHW",
        "preprocessing": {"mean": [123.675, 116.28, 103.53], "scale": [58.395, 57.12, 57.375], "dai_type": "RGB888p"},
    }
    head = {
        "parser": "ClassificationParser",
        "metadata": {"classes": [f"class {n}" for n in range(8)], "n_classes": 8, "is_softmax": False},
        "outputs": ["logits"],
    }
    model = {
        "metadata": {"name": "net", "path": "net.onnx", "precision": "float32"},
        "inputs": [described],
        "outputs": [{"name": "logits", "dtype": "float32"}],
        "heads": [head],
    }
    config = json.dumps({"config_version": "1.0", "model": model}).encode()
    return packed({"config.json": config, "net.onnx": network(size)})


def packed(files: dict[str, bytes]) -> bytes:
    """An NN Archive of these files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:xz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


@dataclass
class Hub:
    """A hub that runs, and a key of it."""

    url: str
    key: str

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url + API, headers=headers, timeout=60, trust_env=False)


def made(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add_source(
    client: httpx.Client,
    model_id: str,
    data: bytes,
    *,
    file: str,
    variant: str,
    version: str | None = None,
    **notes: Any,
) -> dict[str, Any]:
    """A version of the model with its source, uploaded and inspected."""
    body = {"variant": variant, **({"version": version} if version else {}), **notes}
    placed = made(client, f"/models/{model_id}/versions", body)
    source = made(client, "/instances", {"version_id": placed["id"], "name": file})
    purpose = {"kind": "instance", "instance_id": source["id"]}
    upload = made(client, "/uploads", {"name": file, "size": len(data), "purpose": purpose})
    client.patch(f"/uploads/{upload['id']}", content=data, headers={"Upload-Offset": "0"}).raise_for_status()
    client.post(f"/uploads/{upload['id']}/complete").raise_for_status()
    found: dict[str, Any] = client.get(f"/instances/{source['id']}").json()
    return found


def furnish(client: httpx.Client) -> dict[str, str]:
    """Models to look at; their identifiers and those of sources by word."""
    full = made(
        client, "/models",
        {
            "name": "Warehouse detector", "summary": "Forklifts, pallets and people, from above and at eye level.",
            "tasks": ["OBJECT_DETECTION"], "tags": ["warehouse", "yolo", "safety"], "license": "Apache 2.0",
            "visibility": "public", "architecture": "YOLOv8n", "card": CARD,
            "links": [{"name": "Training code", "link": "https://example.com/training"}],
        },
    )  # fmt: skip
    ids = {"full": full["id"]}
    for number in range(3):
        plain = add_source(
            client, full["id"], network(64), file="detector.onnx", variant="64x64",
            version=f"1.{number}.0", changelog=f"Trained on {number + 1}2 000 more pictures of the **night shift**.",
        )  # fmt: skip
    ids["source"] = plain["id"]
    archived = add_source(client, full["id"], archive(96), file="detector.tar.xz", variant="96x96 with preprocessing")
    ids["archive"] = archived["id"]
    for shaves in range(1, 13):
        body = {"platform": "rvc2", "spec": {"blob": True, "number_of_shaves": shaves}, "name": f"rvc2 {shaves} shaves"}
        made(client, f"/instances/{plain['id']}/conversions", body)
    made(client, f"/instances/{plain['id']}/conversions", {"platform": "rvc4", "spec": {"target_precision": "FP16"}})
    made(client, f"/instances/{archived['id']}/conversions", {"platform": "rvc2"})
    long = "A model whose name is so long that no list, no card and no breadcrumb was ever made for it " * 2
    ids["long"] = made(client, "/models", {"name": long.strip(), "summary": "word" * 50, "visibility": "private"})["id"]
    for name, task in (("Depth from one eye", "DEPTH_ESTIMATION"), ("Plate reader", "OPTICAL_CHARACTER_RECOGNITION")):
        ids[name] = made(client, "/models", {"name": name, "tasks": [task]})["id"]
    return ids
