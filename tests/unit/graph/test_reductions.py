from __future__ import annotations

import pytest

from oakmill.graph import equality
from oakmill.graph.reductions import in_four_axes
from tests.unit.graph.building import feeds, ops, parse

INPUT = "float[3,2,8] x"


@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = ReduceMean<axes=[2]>(x)", 13),
        ("y = ReduceMax<axes=[-1], keepdims=0>(x)", 13),
        ("y = ReduceSum(x, a)", 13),
        ("y = ReduceMean(x, a)", 18),
        ("y = ReduceL2<axes=[1, 2]>(x)", 16),
    ],
)
def test_reductions_of_several_rows_of_rows_are_of_four_axes(body: str, opset: int) -> None:
    """A norm's epsilon was added to the first rows only, and a row of zeros was no number: RVC2 refused the norms."""
    model = parse(body, inputs=INPUT, outputs="float[?,?,?] y", constants="int64[1] a = {2}", opset=opset)
    changed = in_four_axes(model)
    assert ops(changed)[::2] == ["Reshape", "Reshape"]
    equality.require_equal(equality.run(model, feeds(model)), equality.run(changed, feeds(model)))


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        ("y = ReduceMean<axes=[0]>(x)", INPUT),
        ("y = ReduceMean(x)", INPUT),
        ("y = ReduceMean<axes=[2]>(x)", "float[1,2,8] x"),
        ("y = ReduceMean<axes=[2]>(x)", "float[3,2,8,4] x"),
        ("y = Relu(x)", INPUT),
    ],
)
def test_others_stay(body: str, inputs: str) -> None:
    model = parse(body, inputs=inputs, opset=13)
    assert in_four_axes(model) is model
