"""Models of more than 2 GB, whose weights lie beside the graph, in a file with holes that takes no room on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.conversion.conftest import command

WIDE = 65536
MOST_MB = 600
"""Far less than the weights, and more than Python takes with its libraries."""
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Three matrices, 2.4 GB."""
    shapes, offset, weights = [(3072, WIDE), (WIDE, 3072), (3072, WIDE)], 0, []
    for place, shape in enumerate(shapes):
        size = shape[0] * shape[1] * 4
        tensor = TensorProto(name=f"w{place}", data_type=1, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "large.data"), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        weights.append(tensor)
        offset += size
    with (tmp_path / "large.data").open("wb") as file:
        file.truncate(offset)
    nodes = [helper.make_node("Flatten", ["x"], ["v0"], "flat")]
    nodes += [helper.make_node("MatMul", [f"v{at}", f"w{at}"], [f"v{at + 1}"], f"m{at}") for at in range(3)]
    inputs = [helper.make_tensor_value_info("x", 1, (1, 3, 32, 32))]
    outputs = [helper.make_tensor_value_info("v3", 1, (1, WIDE))]
    graph = helper.make_graph(nodes, "large", inputs, outputs, weights)
    opset = helper.make_opsetid("", 13)
    path = tmp_path / "large.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
    return path


@pytest.mark.slow
def test_a_check_reads_none_of_the_weights(large: Path) -> None:
    finished = subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
        [sys.executable, "-c", _MEASURED, *command("check", large, "--json")],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 4, finished.stderr
    found = json.loads(finished.stdout)
    assert found["model"]["bytes"] > 1 << 31
    verdicts = {item["platform"]: item["verdict"] for item in found["platforms"]}
    assert verdicts["rvc2"] == "error"
    assert verdicts["rvc3"] != "error"
    assert int(finished.stderr.split()[-1]) < MOST_MB
