"""A debug bundle keeps what decides a failure, and nothing that its owner would not show."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.conversion.failures import bundle, explain
from oakmill.conversion.failures.stripping import strip
from oakmill.errors import CompileFailed, OutputError
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec


def network() -> ModelProto:
    weight = np.arange(4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3)
    bias = np.arange(64, dtype=np.int32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], "/model/conv", doc_string="File /home/me/secret.py"),
        helper.make_node("Constant", [], ["c"], "c", value=numpy_helper.from_array(weight, "inner")),
        helper.make_node("Reshape", ["y", "shape"], ["z"], "/model/reshape"),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array([1, -1]), "shape"),
        ],
    )  # fmt: skip
    return helper.make_model(graph)


def test_weights_go_and_shapes_stay() -> None:
    model = network()
    stripped = strip(model)
    kept = {tensor.name: tensor for tensor in stripped.graph.initializer}
    assert list(kept["w"].dims) == [4, 3, 3, 3]
    assert kept["w"].data_type == TensorProto.FLOAT
    assert not kept["w"].raw_data
    assert not kept["bias"].raw_data  # 32 bits and 64 elements: a quantized bias
    assert numpy_helper.to_array(kept["shape"]).tolist() == [1, -1]
    assert not stripped.graph.node[1].attribute[0].t.raw_data
    assert not stripped.graph.node[0].doc_string
    assert model.graph.initializer[0].raw_data  # the original is as it was


@pytest.fixture
def packed(tmp_path: Path) -> dict[str, str]:
    model = tmp_path / "mine" / "model.onnx"
    model.parent.mkdir()
    model.write_bytes(network().SerializeToString())
    error = CompileFailed(
        "it failed at /model/conv", subject="/model/conv", log=f"reading {model}\nhttp://me:word@host/x\n"
    )
    failure = explain(error, "compile", Rvc2Spec(verification_images=tmp_path / "pictures"))
    settings = Settings(home=tmp_path / "home")
    path = bundle.write(
        tmp_path / "out" / "why.zip", failure, settings=settings, model=model, events=[{"text": f"at {model}"}]
    )
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode(errors="replace") for name in archive.namelist()}


def test_there_are_no_paths_and_no_passwords(packed: dict[str, str], tmp_path: Path) -> None:
    everything = "".join(packed.values())
    assert str(tmp_path) not in everything
    assert str(Path.home()) + "/" not in everything
    assert "me:word" not in everything
    assert "<path>/model.onnx" in packed["log.txt"]
    assert "<path>/pictures" in packed["spec.json"]


def test_names_of_nodes_that_look_like_paths_stay(packed: dict[str, str]) -> None:
    assert json.loads(packed["failure.json"])["subject"] == "/model/conv"


def test_versions_and_toolchains_are_there(packed: dict[str, str]) -> None:
    machine = json.loads(packed["machine.json"])
    assert machine["packages"]["numpy"] == np.__version__
    assert {item["state"] for item in machine["toolchains"]} == {"missing"}


def test_a_file_that_is_no_model_is_described(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(network().SerializeToString()[:100])
    path = bundle.write(
        tmp_path / "why.zip", explain(CompileFailed("no")), settings=Settings(home=tmp_path), model=broken
    )
    with zipfile.ZipFile(path) as archive:
        assert b"model.onnx: 100 bytes" in archive.read("model.txt")


def test_a_bundle_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="debug bundle"):
        bundle.write(tmp_path / "file" / "why.zip", explain(CompileFailed("no")), settings=Settings(home=tmp_path))
