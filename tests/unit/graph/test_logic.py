"""Comparisons and logic, for a processor that compares floats alone, are those of ONNX."""

from __future__ import annotations

import numpy as np
import pytest

from oakmill.graph import equality
from oakmill.graph.decompose import DECOMPOSITIONS, decompose
from tests.unit.graph.building import parse

TRUTHS = {"a": np.array([0, 0, 1, 1], bool), "b": np.array([0, 1, 0, 1], bool)}
WHOLE = {
    "a": np.array([-5000, 3, 70000, 2], np.int32),
    "b": np.array([-5001, 3, 70001, 7], np.int32),
    "c": np.array([0, 1, 1, 0], bool),
}


@pytest.mark.parametrize("body", ["y = And(a, b)", "y = Or(a, b)", "y = Xor(a, b)", "y = Not(a)", "y = Equal(a, b)"])
def test_truth_values(body: str) -> None:
    """Or and Xor of truth values that are fed: "types check error: output #0 has type S32" of RVC2's compiler."""
    model = parse(body, inputs="bool[4] a, bool[4] b", outputs="bool[4] y")
    changed = decompose(model, DECOMPOSITIONS)
    assert not {node.op_type for node in changed.graph.node} & {"Or", "Xor", "Not"}
    assert (equality.run(model, TRUTHS)["y"] == equality.run(changed, TRUTHS)["y"]).all()


@pytest.mark.parametrize("op", ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
def test_whole_numbers_are_compared_beyond_what_float16_tells_apart(op: str) -> None:
    """70000 and 70001 are one number in float16; their difference is not."""
    model = parse(f"y = {op}(a, b)", inputs="int32[4] a, int32[4] b", outputs="bool[4] y")
    changed = decompose(model, DECOMPOSITIONS)
    data = {name: WHOLE[name] for name in "ab"}
    assert [node.op_type for node in changed.graph.node][:2] == ["Sub", "Cast"]
    assert (equality.run(model, data)["y"] == equality.run(changed, data)["y"]).all()


def test_a_choice_of_whole_numbers() -> None:
    """ "Select: input #1 has type S32, but one of [FP16] is expected"."""
    model = parse("y = Where(c, a, b)", inputs="bool[4] c, int32[4] a, int32[4] b", outputs="int32[4] y")
    changed = decompose(model, DECOMPOSITIONS)
    assert "Where" not in {node.op_type for node in changed.graph.node}
    assert (equality.run(model, WHOLE)["y"] == equality.run(changed, WHOLE)["y"]).all()


def test_a_half_is_true() -> None:
    """OpenVINO's Cast to truth values rounds a half to zero first: 91 % of a map were others."""
    model = parse("y = Cast<to=9>(x)", inputs="float[4] x", outputs="bool[4] y")
    changed = decompose(model, DECOMPOSITIONS)
    assert "Cast" not in {node.op_type for node in changed.graph.node[-1:]}
    data = {"x": np.array([0, 0.5, -0.25, 3], np.float32)}
    assert equality.run(changed, data)["y"].tolist() == [False, True, True, True]


def test_the_sign_of_whole_numbers() -> None:
    model = parse("y = Sign(a)", inputs="int32[4] a", outputs="int32[4] y")
    changed = decompose(model, DECOMPOSITIONS)
    assert equality.run(changed, {"a": WHOLE["a"]})["y"].tolist() == [-1, 1, 1, 1]


def test_computed_bounds_of_a_clip() -> None:
    """Neither RVC2's compiler nor RVC4's has a Clip of bounds that are inputs."""
    model = parse("y = Clip(x, l, h)", inputs="float[4] x, float l, float h", outputs="float[4] y")
    changed = decompose(model, DECOMPOSITIONS)
    assert [node.op_type for node in changed.graph.node] == ["Max", "Min"]
    data = {"x": np.array([-3, 0, 1, 9], np.float32), "l": np.array(-1, np.float32), "h": np.array(2, np.float32)}
    assert (equality.run(model, data)["y"] == equality.run(changed, data)["y"]).all()
