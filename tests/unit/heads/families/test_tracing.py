from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.heads import families
from oakmill.heads.families.base import Evidence
from oakmill.heads.families.tracing import Graph


def model(nodes: list[NodeProto], constants: dict[str, np.ndarray]) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_every_second_row_and_column_make_a_map_half_as_large() -> None:
    """The slices of rows and those of columns both counted: YOLOX's strides came out as 16, 32 and 64."""
    words = {name: np.array([value]) for name, value in (("zero", 0), ("end", 64), ("rows", 2), ("columns", 3))}
    nodes = [
        helper.make_node("Slice", ["image", "zero", "end", "rows", "rows"], ["half"]),
        helper.make_node("Slice", ["half", "zero", "end", "columns", "rows"], ["quarter"]),
        helper.make_node("Conv", ["quarter", "weight"], ["map"], strides=[2, 2]),
    ]
    graph = Graph(model(nodes, {**words, "weight": np.ones([4, 3, 1, 1], np.float32)}))
    assert (graph.stride("quarter"), graph.stride("map")) == (2, 4)


def test_a_map_that_is_enlarged_by_an_unknown_factor_has_the_stride_of_what_it_is_joined_with() -> None:
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["small"], strides=[8, 8]),
        helper.make_node("Shape", ["image"], ["size"]),
        helper.make_node("Resize", ["small", "", "", "size"], ["large"]),
        helper.make_node("MaxPool", ["image"], ["beside"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Concat", ["large", "beside"], ["both"], axis=1),
        helper.make_node("Resize", ["small", "", "twice"], ["doubled"]),
        helper.make_node("Relu", ["doubled"], ["last"]),
    ]
    twice = np.array([1, 1, 2, 2], np.float32)
    graph = Graph(model(nodes, {"weight": np.ones([4, 3, 1, 1], np.float32), "twice": twice}))
    assert [graph.stride(name) for name in ("small", "large", "both", "last")] == [8, 0, 4, 4]


def test_a_scale_that_makes_no_sense_gives_no_stride() -> None:
    """A damaged file's scales of 0 ended in ZeroDivisionError, and those that are no numbers in ValueError."""
    for scale in (0, -1, np.nan, np.inf, 1e-45):
        nodes = [helper.make_node("Resize", ["image", "", "scales"], ["0"], mode="nearest")]
        nodes += [helper.make_node("Resize", [f"{n}", "", "scales"], [f"{n + 1}"]) for n in range(9)]
        scales = np.array([1, 1, scale, scale], np.float32)
        assert Graph(model(nodes, {"scales": scales})).stride("9") == 0


def test_a_ring_of_nodes_ends_the_way_back() -> None:
    """A damaged file is looked at before anybody checks its order."""
    nodes = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Add", ["c", "image"], ["a"])]
    graph = Graph(model(nodes, {}))
    assert graph.ends("a") == ()
    assert not graph.moved("c", "Sigmoid")
    ring = [helper.make_node("Concat", ["x"], ["y"], axis=0), helper.make_node("Concat", ["y"], ["x"], axis=0)]
    assert Graph(model(ring, {})).parts("y") == ()
    doubling = [helper.make_node("Concat", [f"{step}"] * 2, [f"{step + 1}"], axis=0) for step in range(60)]
    assert len(Graph(model(doubling, {})).parts("60")) < 1000


def test_a_shape_that_claims_a_thousand_million_classes_gives_no_names() -> None:
    """Each would have got a name: the process ended for want of memory."""
    made = model([helper.make_node("Softmax", ["image"], ["scores"])], {})
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10**9]))
    assert families.recognise(made, Evidence({}, (64, 64))) is None
