from __future__ import annotations

from oakmill.graph import equality
from oakmill.graph.naming import name_nodes
from oakmill.graph.shapes import fix_input_shapes
from tests.unit.graph.building import feeds, parse


def test_two_nodes_of_one_name_get_a_number() -> None:
    """Valid ONNX, which onnxruntime refuses: "two nodes with same node name"."""
    model = parse("[same] a = Relu(x) [same] b = Sqrt(a) [other] c = Abs(b) [same] d = Neg(c) y = Exp(d)")
    model.graph.node[2].name = "same/2"
    fixed = fix_input_shapes(model, {})
    assert [node.name for node in fixed.model.graph.node] == ["same", "same/3", "same/2", "same/4", "y"]
    assert [note for note in fixed.notes if "'same'" in note and "'same/3'" in note]
    equality.run(fixed.model, feeds(model))


def test_onnx_own_domain_is_written_as_all_write_it() -> None:
    """Valid ONNX, of which OpenVINO said that it has no operation `ai.onnx.Conv`."""
    model = parse("a = Relu(x) y = Sqrt(a)")
    model.opset_import[0].domain = model.graph.node[1].domain = "ai.onnx"
    fixed = fix_input_shapes(model, {}).model
    assert [item.domain for item in (*fixed.opset_import, *fixed.graph.node)] == ["", "", ""]
    equality.run(fixed, feeds(fixed))


def test_names_within_branches_count_too() -> None:
    branches = "then_branch = t () => (a) { [n] a = Relu(x) }, else_branch = e () => (b) { [n] b = Neg(x) }"
    model = parse(
        f"m = ReduceMax<keepdims=0>(x) c = Greater(m, z) [n] y = If<{branches}>(c)", constants="float z = {0}"
    )
    assert sorted(name_nodes(model).items()) == [("n/2", "n"), ("n/3", "n")]


def test_unique_names_stay() -> None:
    model = parse("[one] a = Relu(x) y = Sqrt(a)")
    assert name_nodes(model) == {}
    assert [node.name for node in model.graph.node] == ["one", "y"]
