from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import equality
from oakmill.graph.shapes import fix_input_shapes
from oakmill.graph.simplify import simplify
from tests.unit.graph.building import feeds, names, ops, parse


def test_constants_are_folded_and_shapes_inferred() -> None:
    model = parse(
        "s = Shape(x) n = Gather(s, i) m = Concat<axis=0>(n, k) y = Reshape(x, m)",
        outputs="float[?,?] y",
        constants="int64[1] i = {0}, int64[1] k = {-1}",
    )
    simple = simplify(model)
    assert ops(simple) == ["Reshape"]
    assert [dim.dim_value for dim in simple.graph.output[0].type.tensor_type.shape.dim] == [2, 240]


def test_what_is_redundant_goes_and_the_result_stays() -> None:
    model = parse("a = Identity(x) b = Relu(a) c = Identity(b) unused = Sigmoid(b) y = Sqrt(c)")
    wanted = equality.run(model, feeds(model))
    simple = simplify(model)
    assert ops(simple) == ["Relu", "Sqrt"]
    equality.require_equal(wanted, equality.run(simple, feeds(model)))


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("y = Identity(x)", "float[2,8,6,5] y"),
        ("b = Relu(x) a = Identity(b)", "float[2,8,6,5] b, float[2,8,6,5] a"),
        ("k = Constant<value_floats=[1, 2]>() y = Relu(x)", "float[2] k, float[2,8,6,5] y"),
        ("z = Relu(x) y = Relu(x)", "float[2,8,6,5] z, float[2,8,6,5] y"),
    ],
)
def test_inputs_and_outputs_keep_their_names_and_order(body: str, outputs: str) -> None:
    model = parse(body, inputs="float[2,8,6,5] x, float[4] unused", outputs=outputs)
    before = names(model)
    wanted = equality.run(model, feeds(model))
    simple = simplify(model)
    assert names(simple) == before
    equality.require_equal(wanted, equality.run(simple, feeds(model)))


def test_a_model_that_breaks_the_simplifier_is_refused_with_a_way_out() -> None:
    model = parse("y = Add(x, w)")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[5], raw_data=b"short")
    model.graph.initializer.append(tensor)
    with pytest.raises(PreparationFailed, match="could not be simplified") as raised:
        simplify(model)
    assert "--disable-onnx-simplification" in raised.value.remedy


def test_a_cycle_is_refused() -> None:
    with pytest.raises(PreparationFailed, match="could not be simplified"):
        simplify(parse("a = Add(x, b) b = Relu(a) y = Relu(b)"))


def long_chain(length: int) -> ModelProto:
    weight = numpy_helper.from_array(np.ones(4, np.float32), "w")
    nodes = [helper.make_node("Add", [f"t{i}", "w"], [f"t{i + 1}"]) for i in range(length)]
    ends = [helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, [1, 4]) for i in (0, length)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


def test_a_model_deeper_than_pythons_stack_is_simplified() -> None:
    deep = sys.getrecursionlimit() + 100
    assert names(simplify(long_chain(deep))) == (["t0"], [f"t{deep}"])


@pytest.mark.parametrize("name", ["ultraface_rfb_320", "squeezenet1.1_fp32", "mnist_cntk", "fns_candy_720"])
def test_real_models_stay_equal(shared_data: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    model = fix_input_shapes(onnx.load(shared_data / "models" / f"{name}.onnx"), {}).model
    before = names(model)
    data = equality.random_inputs(model)
    wanted = equality.run(model, data)
    simple = simplify(model)
    assert names(simple) == before
    assert len(simple.graph.node) <= len(model.graph.node)
    equality.require_equal(wanted, equality.run(simple, data))


def test_a_simplifier_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have held a worker of the hub for two hours; the conversion goes on without it."""
    monkeypatch.setattr("oakmill.graph.simplify.SECONDS", 0.1)
    monkeypatch.setattr("onnxslim.slim", lambda model: spin())
    with pytest.raises(PreparationFailed, match=r"not done after 0\.1 s"):
        simplify(parse("y = Relu(x)"))


def spin() -> None:
    while True:
        time.sleep(0.01)
