"""Fills a hub as a real team's looks after some weeks: models with cards, sets, conversions, one of which failed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw

from tests.web.furnish import CARD, Hub, add_source, archive, made, network
from tests.web.working import ran, unsupported

CLASSIFIER = """## What it does

Names the main thing in a picture, one of **1000 classes** of ImageNet. A small network for cameras that have little
memory: 1.24 million parameters, 4.9 MB.

| Measured on | top-1 | top-5 |
|---|---|---|
| ImageNet, validation | 58.2 % | 80.6 % |

## How it is fed

224 × 224, **BGR**, values of 0 to 255, with a mean of 104, 117, 123 subtracted and no scale.
"""
MODELS: tuple[dict[str, Any], ...] = (
    {"name": "Dock number reader", "tasks": ["OPTICAL_CHARACTER_RECOGNITION"], "tags": ["ocr", "yard"],
     "summary": "Reads dock and trailer numbers at up to 12 metres.", "architecture": "LPRNet"},
    {"name": "Depth from one eye", "tasks": ["DEPTH_ESTIMATION"], "visibility": "public", "license": "MIT",
     "summary": "Relative depth for cameras without a second lens.", "architecture": "MiDaS small"},
    {"name": "Glove and helmet check, at the gate between the cold store and the loading bay",
     "tasks": ["OBJECT_DETECTION", "CLASSIFICATION"], "summary": "Tells who may pass.", "visibility": "private"},
    {"name": "Hand landmarks", "tasks": ["KEYPOINT_DETECTION"], "tags": ["gesture"],
     "summary": "21 points of a hand, from 30 cm to 2 m.", "architecture": "BlazeHand"},
)  # fmt: skip
WARES = ((176, 137, 92), (201, 170, 128), (94, 110, 128), (208, 92, 46), (228, 190, 62), (60, 92, 74), (225, 225, 220))
"""The colours of cardboard, wood, steel, warnings and foil."""
CLASSIFIER_INPUT = {"mean_values": [104, 117, 123], "encoding_from": "BGR", "encoding_to": "BGR"}


def scenes(count: int, seed: int) -> bytes:
    """A zip of drawn pictures: skies, floors and boxes in many lights. They are nobody's but ours."""
    random = np.random.default_rng(seed)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number in range(count):
            buffer = io.BytesIO()
            _scene(random).save(buffer, "JPEG", quality=88)
            file.writestr(f"dock-{number % 3 + 1}/{number:04}.jpg", buffer.getvalue())
    return packed.getvalue()


def _scene(random: np.random.Generator) -> Image.Image:
    grey = random.integers(40, 225, (3, 4, 1))
    rough = (grey + random.integers(-28, 28, (3, 4, 3))).clip(0, 255) * random.uniform(0.35, 1.0)
    image = Image.fromarray(rough.astype(np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(3, 9)):
        x, y = int(random.integers(0, 260)), int(random.integers(60, 200))
        wide, high = (int(length) for length in random.integers(20, 90, 2))
        light = random.uniform(0.5, 1.0)
        colour = tuple(int(part * light) for part in WARES[random.integers(len(WARES))])
        draw.rectangle((x, y, x + wide, y + high), fill=colour, outline=tuple(part // 2 for part in colour), width=2)
    return image


def add_set(client: httpx.Client, name: str, data: bytes) -> str:
    """A calibration set of the team's own; its identifier."""
    purpose = {"kind": "dataset", "name": name}
    upload = made(client, "/uploads", {"name": "set.zip", "size": len(data), "purpose": purpose})
    client.patch(f"/uploads/{upload['id']}", content=data, headers={"Upload-Offset": "0"}).raise_for_status()
    found: str = client.post(f"/uploads/{upload['id']}/complete").raise_for_status().json()["dataset_id"]
    return found


def convert(hub: Hub, home: Path, source: str, platform: str, name: str, **spec: Any) -> dict[str, Any]:
    """A conversion that ran to its end."""
    with hub.client() as client:
        asked = made(client, f"/instances/{source}/conversions", {"platform": platform, "name": name, "spec": spec})
    return ran(hub, home, asked)


def furnish(hub: Hub, home: Path, classifier: bytes) -> dict[str, str]:
    """Everything that the pictures show; identifiers by word. `classifier` is SqueezeNet 1.1 as ONNX."""
    with hub.client() as client:
        ids = {"night": add_set(client, "Loading dock at night", scenes(96, 7))}
        ids["day"] = add_set(client, "Loading dock by day", scenes(160, 3))
        ids |= _detector(client) | _others(client)
        ids |= _classifier(client, classifier)
        client.post("/keys", json={"name": "ci-runner", "scopes": ["convert"]}).raise_for_status()
        client.post("/keys", json={"name": "line-3-cameras", "scopes": ["read"]}).raise_for_status()
    _run(hub, home, ids)
    return ids


def _detector(client: httpx.Client) -> dict[str, str]:
    body = {
        "name": "Warehouse detector", "summary": "Forklifts, pallets and people, from above and at eye level.",
        "tasks": ["OBJECT_DETECTION"], "tags": ["warehouse", "yolo", "safety"], "license": "Apache 2.0",
        "visibility": "public", "architecture": "YOLOv8n", "card": CARD.partition("<script>")[0],
        "links": [{"name": "Training code", "link": "https://example.com/training"}],
    }  # fmt: skip
    model = made(client, "/models", body)["id"]
    for number, news in enumerate(("First that ships.", "12 000 more pictures of the **night shift**.")):
        notes = {"version": f"1.{number}.0", "changelog": news}
        source = add_source(client, model, network(128), file="detector.onnx", variant="128x128", **notes)
    packed = add_source(client, model, archive(160), file="detector.tar.xz", variant="160x160 with preprocessing")
    return {"detector": model, "detector source": source["id"], "archive": packed["id"]}


def _classifier(client: httpx.Client, data: bytes) -> dict[str, str]:
    body = {
        "name": "SqueezeNet 1.1", "summary": "A thousand classes of ImageNet in 4.9 MB.", "tasks": ["CLASSIFICATION"],
        "tags": ["imagenet", "baseline"], "license": "MIT", "architecture": "SqueezeNet", "card": CLASSIFIER,
        "visibility": "public",
    }  # fmt: skip
    model = made(client, "/models", body)["id"]
    source = add_source(client, model, data, file="squeezenet1.1.onnx", variant="224x224", version="1.1.0")
    return {"classifier": model, "classifier source": source["id"]}


def _others(client: httpx.Client) -> dict[str, str]:
    found = {}
    for number, body in enumerate(MODELS):
        model = made(client, "/models", body)["id"]
        found[body["name"]] = model
        if number == 0:
            head = add_source(client, model, unsupported(), file="reader.onnx", variant="32x32", version="0.9.0")
            found["unsupported"] = head["id"]
        elif number < 3:
            add_source(client, model, network(64 + 32 * number), file="model.onnx", variant="small")
    return found


def _run(hub: Hub, home: Path, ids: dict[str, str]) -> None:
    source, name = ids["classifier source"], "data_0"
    given = {"inputs": [{"name": name, **CLASSIFIER_INPUT}]}
    for key, at, platform, what, spec in (
        ("rvc2", source, "rvc2", "squeezenet rvc2", {**given, "verification_images": ids["night"]}),
        ("rvc4", source, "rvc4", "squeezenet rvc4 int8", {**given, "quantization_data": ids["day"]}),
        ("failed", ids["unsupported"], "rvc2", "reader rvc2", {}),
        ("six", ids["detector source"], "rvc2", "detector 6 shaves", {"blob": True, "number_of_shaves": 6}),
        ("five", ids["detector source"], "rvc2", "detector 5 shaves", {"blob": True, "number_of_shaves": 5}),
        ("packed", ids["archive"], "rvc2", "detector rvc2", {}),
        ("fp16", source, "rvc4", "squeezenet rvc4 fp16", {**given, "target_precision": "FP16"}),
    ):
        job = convert(hub, home, at, platform, what, **spec)
        print(what, job["status"], flush=True)
        ids |= {f"job {key}": job["id"], f"made {key}": str(job["result_id"])}
    with hub.client() as client:
        waiting = made(client, f"/instances/{source}/conversions", {"platform": "rvc3", "spec": given, "name": "rvc3"})
        ids["job waiting"] = waiting["id"]
