"""The heads that are written are read by the vendor's own schema and nodes: luxonis_ml, and depthai on the host."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from luxonis_ml.nn_archive.config import Config

from oakmill.heads.families.base import Found
from tests.unit.heads.families.ends import faces
from tests.unit.heads.families.test_plain import CERTAIN, GUESSES, LIKELY, seen


def pack(path: Path, head: dict[str, Any]) -> Path:
    """An NN Archive with this head, checked by luxonis_ml."""
    picture = {
        "name": "image", "dtype": "uint8", "input_type": "image", "shape": [1, 3, 64, 64], "layout": "NCHW",
        "preprocessing": {"mean": [0, 0, 0], "scale": [1, 1, 1], "dai_type": "BGR888p"},
    }  # fmt: skip
    outputs = [{"name": name, "dtype": "float32"} for name in head["outputs"]]
    about = {"name": "m", "path": "m.dlc", "precision": "float32"}
    config = {
        "config_version": "1.0",
        "model": {"metadata": about, "inputs": [picture], "outputs": outputs, "heads": [head]},
    }
    Config.model_validate(config)
    with tarfile.open(path, "w:xz") as archive:
        for name, data in (("config.json", json.dumps(config).encode()), ("m.dlc", b"nothing")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def head_of(found: Found | None) -> dict[str, Any]:
    assert found is not None
    (head,) = found.heads(found.names or tuple(f"class {number}" for number in range(found.classes)))
    return head


def test_every_head_is_read_by_the_node_that_it_names(tmp_path: Path) -> None:
    words = [f"{word}_{stride}" for word in ("score", "bbox", "kps") for stride in (8, 16, 32)]
    networks = [row[0] for row in CERTAIN] + [row[0] for row in (*LIKELY, *GUESSES)]
    networks.append(faces({word: word for word in words}))
    heads = [head_of(seen(network)) for network in networks]
    paths = [pack(tmp_path / f"{place}.tar.xz", head) for place, head in enumerate(heads)]
    script = Path(__file__).with_name("vendors_nodes.py")
    ended = subprocess.run(  # noqa: TID251 - the test is the camera app
        [sys.executable, script, *paths], capture_output=True, text=True, timeout=120, check=True
    )
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("said ")]
    said = zip((head["parser"] for head in heads), json.loads(line.removeprefix("said ")), strict=True)
    assert [(parser, words) for parser, words in said if words] == []
    assert len({head["parser"] for head in heads}) == 10
