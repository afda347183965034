"""Outputs keep their names though OpenVINO's reader drops Identity nodes; a model ends where it is told."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from oakmill.errors import SpecError
from oakmill.graph import equality, outputs
from oakmill.graph.outputs import without_constants
from tests.unit.graph.building import ops, parse

MODEL = """
    <ir_version: 8, opset_import: ["": 16]>
    agraph (float[1,4] x) => (float[1,4] y, float[1,4] z)
    {
        z = Relu (x)
        y = Identity (z)
    }
"""


def test_an_identity_before_an_output_becomes_a_node_that_stays() -> None:
    """A model with an Identity at its end came out with another output name than it had, and failed to verify."""
    model = parser.parse_model(MODEL)
    feeds = {"x": np.array([[-1, 0, 1, 2]], np.float32)}
    before = equality.run(parser.parse_model(MODEL), feeds)
    after = equality.run(outputs.keep_names(model), feeds)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Cast"]
    assert list(after) == ["y", "z"]
    equality.require_equal(before, after)


BRANCHES = """
    <ir_version: 8, opset_import: ["": 13]>
    agraph (float[1,4] x) => (float[1,2] a, float[1,2] b, float[1,2] sum)
    <float[4] one = {1,1,1,1}, float[2] two = {2,2}, float[2] unused = {0,0}>
    {
        [first] y = Add (x, one)
        [a] a, b = Split <axis=1> (y)
        [second] c = Mul (a, two)
        [b] sum = Add (c, b)
    }
"""
FEEDS = {"x": np.array([[-1, 0, 1, 2]], np.float32)}


def test_outputs_of_one_node_get_a_node_of_their_own_and_its_name() -> None:
    model = parser.parse_model(BRANCHES)
    changed = outputs.own_nodes(model)
    equality.require_equal(equality.run(model, FEEDS), equality.run(changed, FEEDS))
    assert [value.name for value in changed.graph.output] == ["a", "b", "sum"]
    makers = {output: node for node in changed.graph.node for output in node.output}
    for name in ("a", "b"):
        assert list(makers[name].output) == [name]
        assert [node.op_type for node in changed.graph.node if node.name == name] == ["Cast"]


def test_a_model_whose_outputs_have_their_own_nodes_is_left_as_it_is() -> None:
    model = outputs.keep_names(parser.parse_model(MODEL))
    assert outputs.own_nodes(model) is model


def test_a_model_ends_where_it_is_told_and_keeps_nothing_that_only_others_need() -> None:
    model = parser.parse_model(BRANCHES)
    whole = equality.run(parser.parse_model(BRANCHES), FEEDS)
    cut = outputs.cut_at(model, ["c", "first"])
    found = equality.run(cut, FEEDS)
    assert list(found) == ["c", "y"]
    np.testing.assert_array_equal(found["c"], 2 * whole["a"])
    assert [node.name for node in cut.graph.node] == ["first", "a", "second"]
    assert [tensor.name for tensor in cut.graph.initializer] == ["one", "two"]


@pytest.mark.parametrize(
    ("names", "why"),
    [(["nowhere"], "no tensor or node"), (["x"], "no tensor or node"), (["c", "second"], "twice")],
)
def test_a_model_cannot_end_at_what_it_does_not_compute(names: list[str], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        outputs.cut_at(parser.parse_model(BRANCHES), names)


BRANCHING = """
    <ir_version: 8, opset_import: ["": 13]>
    agraph (float[1,4] x, bool yes) => (float[1,4] z)
    <float[4] inner = {1,2,3,4}>
    {
        y = If (yes) <
            then_branch = g () => (float[1,4] t) { t = Add (x, inner) },
            else_branch = h () => (float[1,4] e) { e = Identity (x) }
        >
        z = Relu (y)
    }
"""


def test_what_a_branch_reads_is_kept() -> None:
    cut = outputs.cut_at(parser.parse_model(BRANCHING), ["y"])
    assert [tensor.name for tensor in cut.graph.initializer] == ["inner"]
    np.testing.assert_array_equal(equality.run(cut, {**FEEDS, "yes": np.array(True)})["y"], [[0, 2, 4, 6]])


def test_an_output_that_is_always_the_same_is_omitted_and_named() -> None:
    """Anchors as an output: QAIRT's compiler drops them, and the DLC then had not the model's outputs."""
    model = parse(
        """
        y = Relu(x)
        size = Shape(x)
        anchors = Cast<to = 1>(size)
        noise = RandomNormal<shape = [2]>()
        """,
        outputs="float[2,8,6,5] y, float[4] anchors, float[2] noise",
    )
    bare, dropped = without_constants(model)
    assert dropped == ["anchors"]
    assert [value.name for value in bare.graph.output] == ["y", "noise"]
    assert ops(bare) == ["Relu", "RandomNormal"]
    assert [value.name for value in model.graph.output] == ["y", "anchors", "noise"]


def test_outputs_that_are_all_constant_stay() -> None:
    model = parse("size = Shape(x)  y = Cast<to = 1>(size)", outputs="float[4] y")
    assert without_constants(model) == (model, [])
