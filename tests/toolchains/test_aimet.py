"""The real aimet-onnx: learned weights serve the network better than those rounded to the nearest, and come again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.graph import equality
from oakmill.graph.sensitivity import with_all_rounded
from oakmill.processes.events import ToolEvent
from oakmill.settings import current
from oakmill.toolchains import catalog
from oakmill.toolchains.aimet.toolchain import Aimet, Order
from oakmill.toolchains.base import State
from tests.unit.graph.building import parse

ORDER = Order("adaround", 400)


@pytest.fixture(scope="module")
def toolchain() -> Aimet:
    found = Aimet(current())
    if found.status().state is not State.INSTALLED:
        pytest.skip(f"{found.name} is not installed: it is large, and optional ({found.remedy})")
    return found


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What preprocesses an image, two convolutions, the second one depthwise, and a Gemm."""
    model = parse(
        "p = Mul(x, s) a = Conv<pads=[1,1,1,1]>(p, w1) r = Relu(a) d = Conv<group=8>(r, w2, b2) "
        "m = GlobalAveragePool(d) "
        "f = Flatten(m) y = Gemm<transB=1>(f, w3)",
        inputs="float[1,3,12,12] x", outputs="float[1,5] y", opset=16,
    )  # fmt: skip
    random = np.random.default_rng(1)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0.5], np.float32), "s"))
    for name, shape in (("w1", (8, 3, 3, 3)), ("w2", (8, 1, 3, 3)), ("b2", (8,)), ("w3", (5, 8))):
        model.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
    file = tmp_path_factory.mktemp("aimet") / "graph" / "model.onnx"
    file.parent.mkdir()
    onnx.save(model, file)
    return file


def pictures(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    return [{"x": random.random((1, 3, 12, 12), np.float32)} for _ in range(count)]


def learned(toolchain: Aimet, file: Path, job: Path, order: Order = ORDER, **more: Any) -> Mapping[str, np.ndarray]:
    return toolchain.improve(file, pictures(8, 2), job, order, **more).weights


def noise(model: ModelProto, weights: Mapping[str, np.ndarray], images: Sequence[Mapping[str, np.ndarray]]) -> float:
    """Of the graph with these weights, rounded to the nearest, against the float one."""
    made = ModelProto()
    made.CopyFrom(model)
    for item in made.graph.initializer:
        if item.name in weights:
            item.CopyFrom(numpy_helper.from_array(weights[item.name], item.name))
    rounded, exact = equality.Session(with_all_rounded(made, {}, {})), equality.Session(model)
    return float(np.mean([(rounded.run(item)["y"] - exact.run(item)["y"]) ** 2 for item in images]))


def test_it_is_known_and_is_the_build_for_the_cpu(toolchain: Aimet) -> None:
    assert catalog.find("quantizers/aimet", current()).name == toolchain.name
    assert toolchain.status().versions["torch"] == "2.13.0+cpu"


@pytest.mark.slow
def test_it_verifies_itself(toolchain: Aimet) -> None:
    assert toolchain.verify()["layers"] == 1


@pytest.mark.slow
def test_weights_are_learned_that_serve_other_images_better(toolchain: Aimet, network: Path, tmp_path: Path) -> None:
    events: list[ToolEvent] = []
    weights = learned(toolchain, network, tmp_path / "job", watch=events.append)
    model = onnx.load(network)
    assert list(weights) == ["w1", "w2", "w3"]
    assert noise(model, weights, pictures(8, 9)) < noise(model, {}, pictures(8, 9))
    assert [(event.done, event.total) for event in events if event.what == "layers learned"] == [(1, 3), (2, 3), (3, 3)]
    again = learned(toolchain, network, tmp_path / "again", replace(ORDER, layers=tuple(weights)))
    for name, values in weights.items():
        np.testing.assert_array_equal(again[name], values)


@pytest.mark.slow
def test_no_layer_is_begun_when_the_time_is_over(toolchain: Aimet, network: Path, tmp_path: Path) -> None:
    found = toolchain.improve(network, pictures(2, 2), tmp_path / "job", replace(ORDER, seconds=0.0))
    assert not found.weights
    assert not found.complete


@pytest.mark.slow
def test_scales_are_chosen_by_what_comes_out(toolchain: Aimet, network: Path, tmp_path: Path) -> None:
    """Where the layer that reads the image was none with weights, nothing taught: each image was left out."""
    weights = learned(toolchain, network, tmp_path / "job", Order("seqmse", 8))
    values = numpy_helper.to_array(next(item for item in onnx.load(network).graph.initializer if item.name == "w1"))
    assert set(weights) == {"w1", "w2", "w3"}
    assert np.abs(weights["w1"]).max() <= np.abs(values).max() * 1.01
