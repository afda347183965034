from __future__ import annotations

import pytest
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.graph.empties import without_empty_parts
from tests.unit.graph.building import feeds, ops, parse

ROTARY = "a, b = Split<axis=3>(x, sizes) r = Relu(a) y = Concat<axis=3>(r, b)"


def same(model: ModelProto) -> ModelProto:
    changed = without_empty_parts(model)
    equality.require_equal(equality.run(model, feeds(model)), equality.run(changed, feeds(model)))
    return changed


def test_a_part_of_nothing_goes_with_its_split() -> None:
    """Rotary embeddings that turn whole heads split off a rest of 0 elements, and RVC2's compiler refused them all."""
    assert ops(same(parse(ROTARY, constants="int64[2] sizes = {5, 0}"))) == ["Relu", "Identity"]


def test_other_parts_stay() -> None:
    body = "a, b, c = Split<axis=3>(x, sizes) r = Relu(a) y = Concat<axis=3>(r, b, c)"
    changed = same(parse(body, constants="int64[3] sizes = {2, 0, 3}"))
    assert ops(changed) == ["Split", "Relu", "Concat"]
    assert [len(node.output) for node in changed.graph.node] == [2, 1, 1]


def test_sizes_may_be_attributes() -> None:
    body = "a, b, c = Split<axis=3, split=[2, 0, 3]>(x) r = Relu(a) y = Concat<axis=3>(r, b, c)"
    assert ops(same(parse(body, opset=11))) == ["Split", "Relu", "Concat"]


def test_a_memory_of_nothing_is_not_joined() -> None:
    body = "y = Concat<axis=3>(past, x)"
    assert ops(same(parse(body, constants="float[2,8,6,0] past = {}"))) == ["Identity"]


@pytest.mark.parametrize("sizes", ["{2, 3}", "{4, 1}"])
def test_where_nothing_is_empty_the_model_is_the_same(sizes: str) -> None:
    model = parse(ROTARY, constants=f"int64[2] sizes = {sizes}")
    assert without_empty_parts(model) is model
