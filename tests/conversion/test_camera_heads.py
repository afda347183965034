"""From a trained detector's export to what a camera app reads, by the vendor's own parser."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.graph import equality
from oakmill.heads.boxes import Boxes, overlap
from oakmill.heads.decoders import Rows
from oakmill.heads.families import distances
from oakmill.heads.families.base import NOTHING
from tests.conversion.conftest import Convert
from tests.conversion.makers import saved
from tests.unit.heads.families.exports import Export


def test_the_vendors_parser_sees_what_the_export_saw(convert: Convert, tmp_path: Path) -> None:
    """A plain export came out with `"heads": []`: DepthAI could make no parser of it, and knew no class by name."""
    model = Export(side=64).model()
    answer = convert(saved(model, tmp_path / "detector.onnx"), "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    archive = tmp_path / "out" / "detector.rvc2.tar.xz"
    with tarfile.open(archive) as packed:
        file = packed.extractfile("config.json")
        assert file is not None
        (head,) = json.load(file)["model"]["heads"]
    assert head["metadata"]["classes"] == ["thing 0", "thing 1", "thing 2"]

    found = distances.find(model, NOTHING)
    assert found is not None
    image = {"images": np.random.default_rng(2).random([1, 3, 64, 64], dtype=np.float32)}
    outputs: dict[str, Any] = dict(equality.run(found.cut(model, "rvc2"), image))
    np.savez(tmp_path / "outputs.npz", **outputs)
    seen = parsed(archive, tmp_path / "outputs.npz", 64)
    whole = Rows("output0", (64, 64), objectness=False, transposed=True, form="pixels")
    boxes = whole.decode(equality.run(model, image))
    assert seen
    for name, score, corners in seen:
        among = boxes[(boxes.labels == int(name.split()[1])) & (np.abs(boxes.scores - score) < 1e-3)]
        inside = Boxes(np.clip(among.corners, 0, 1), among.scores, among.labels)
        assert overlap(np.array([corners]), inside.corners).max(initial=0) > 0.95, (name, score, corners)
    best = max(score for _, score, _ in seen)
    assert abs(best - boxes.scores.max()) < 1e-3


def parsed(archive: Path, outputs: Path, side: int) -> list[tuple[str, float, list[float]]]:
    """What depthai's parser makes of the outputs, from the archive's head alone."""
    script = Path(__file__).with_name("vendors_parser.py")
    ended = subprocess.run(  # noqa: TID251 - the test is the camera app
        [sys.executable, script, archive, outputs, str(side), str(side)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("seen ")]
    return [(name, score, corners) for name, score, corners in json.loads(line.removeprefix("seen "))]


def test_who_wants_the_exports_own_outputs_keeps_them(convert: Convert, tmp_path: Path) -> None:
    model = saved(Export(side=64).model(), tmp_path / "detector.onnx")
    answer = convert(model, "--keep-outputs", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    with tarfile.open(tmp_path / "out" / "detector.rvc2.tar.xz") as packed:
        file = packed.extractfile("config.json")
        assert file is not None
        config = json.load(file)["model"]
    assert [item["name"] for item in config["outputs"]] == ["output0"]
    assert config["heads"] == []
