"""Weights of a large model stay in the source's files, and every step computes what it does with weights in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from oakmill.errors import BrokenModel
from oakmill.graph import equality, float16, half, large, opset, simplify
from oakmill.graph.skeleton import copy_of
from oakmill.model import load_onnx, read_onnx, require_finite_weights, weights
from oakmill.settings import Settings
from tests.unit.graph.building import Array, ops, parse

WIDE = 64


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "STAY", 1000)
    monkeypatch.setattr(weights, "_BLOCK", 1000)


def save(folder: Path, *, spoilt: bool = False) -> Path:
    model = parse("a = MatMul(x, w0) b = Identity(a) c = Relu(b) y = MatMul(c, w1)",
                  inputs=f"float[1,{WIDE}] x", outputs=f"float[1,{WIDE}] y", opset=13)  # fmt: skip
    random = np.random.default_rng(3)
    for name in ("w0", "w1"):
        values = random.normal(size=(WIDE, WIDE)).astype("f") / 8
        values[0, 0] = np.nan if spoilt else 1e6
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    return folder / "m.onnx"


def loaded(path: Path, *, whole: bool = False) -> ModelProto:
    return load_onnx(read_onnx(path, Settings()), whole=whole)


def computed(model: ModelProto | Path, *, optimise: bool = True) -> Array:
    x = np.random.default_rng(4).normal(size=(1, WIDE)).astype("f")
    found: Array = equality.Session(model, optimise=optimise).run({"x": x})["y"]
    return found


def same(one: ModelProto | Path, other: ModelProto | Path, *, optimise: bool = True) -> None:
    """Equal but for the order of sums, which is another where weights are not packed."""
    first, second = computed(one, optimise=optimise), computed(other, optimise=optimise)
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_a_graph_that_refers_to_its_weights_holds_none(tmp_path: Path) -> None:
    """A conversion of 2.4 GB held 14 GB: source, prepared graph, and both again in onnxruntime."""
    model = loaded(save(tmp_path))
    assert all(weights.is_reference(tensor) for tensor in model.graph.initializer)
    assert model.ByteSize() < 1000
    same(model, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(partial(simplify.around_weights, simplifier=simplify.simplify), id="simplified"),
        pytest.param(lambda model: opset.raise_opset(model, 17), id="opset"),
        pytest.param(copy_of, id="copied"),
    ],
)
def test_a_step_leaves_the_weights_where_they_are(tmp_path: Path, step: Callable[[ModelProto], ModelProto]) -> None:
    changed = step(loaded(save(tmp_path)))
    assert all(weights.is_reference(tensor) for tensor in changed.graph.initializer)
    same(changed, tmp_path / "m.onnx")


def test_a_graph_is_simplified_around_its_weights(tmp_path: Path) -> None:
    assert "Identity" not in ops(simplify.around_weights(loaded(save(tmp_path)), simplify.simplify))


def test_rounding_to_float16_is_the_same_from_files_and_from_memory(tmp_path: Path) -> None:
    here, there = loaded(save(tmp_path), whole=True), loaded(tmp_path / "m.onnx")
    same(half.half_estimate(here), half.half_estimate(there), optimise=False)
    written = [float16.to_half(model) for model in (here, there)]
    assert {tensor.data_type for tensor in written[1].graph.initializer} == {TensorProto.FLOAT16}
    same(written[0], written[1])


def test_a_spoilt_weight_is_found_in_its_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match="'w0' and 1 more holds NaN"):
        require_finite_weights(loaded(save(tmp_path, spoilt=True)))


@pytest.mark.parametrize("links", [True, False])
def test_a_tool_finds_the_weights_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("another file system")))
    model = loaded(save(tmp_path / "source"))
    (tmp_path / "job").mkdir()
    written = large.save(model, tmp_path / "job" / "prepared.onnx")
    same(written, model)
    found = tmp_path / "job" / "prepared.onnx.0.data"
    assert found.samefile(tmp_path / "source" / "m.data") == links
    assert str(tmp_path).encode() not in written.read_bytes()
