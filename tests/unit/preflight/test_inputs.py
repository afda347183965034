"""Open dimensions come with sizes that fit the network's stride; other oddities of inputs are named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import UnsupportedModel
from oakmill.findings import Finding, Severity
from oakmill.preflight.check import Code, Preflight, require
from oakmill.preflight.graph import Facts
from oakmill.preflight.inputs import total_stride
from oakmill.spec import Encoding, InputSpec


def network(
    shape: Sequence[int | str] = (1, 3, "H", "W"), *, halvings: int = 5, up: bool = True, dtype: int = TensorProto.FLOAT
) -> ModelProto:
    """Convolutions that halve the picture, and a Resize that doubles it."""
    nodes: list[NodeProto] = [helper.make_node("Cast", ["image"], ["x0"], "cast", to=TensorProto.FLOAT)]
    for place in range(halvings):
        wide = "first" if place == 0 else "next"
        nodes.append(helper.make_node("Conv", [f"x{place}", wide], [f"x{place + 1}"], f"conv{place}", strides=[2, 2]))
    if up:
        nodes.append(helper.make_node("Resize", [f"x{halvings}", "", "scales"], ["up"], "up"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info("up" if up else f"x{halvings}", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.zeros((4, 3, 1, 1), np.float32), "first"),
            numpy_helper.from_array(np.zeros((4, 4, 1, 1), np.float32), "next"),
            numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def found(model: ModelProto, code: Code, *asked: InputSpec, platform: str = "rvc2") -> list[Finding]:
    return [item for item in Preflight(model, asked).report(platform).findings if item.code is code]


@pytest.mark.parametrize("halvings", [1, 4, 5])
def test_the_total_stride_is_the_product_of_all(halvings: int) -> None:
    assert total_stride(Facts(network(halvings=halvings))) == 2**halvings


def test_strides_and_scales_that_make_no_sense_count_as_none() -> None:
    """A damaged file's strides of 0 ended in ZeroDivisionError, and scales that are almost 0 in OverflowError."""
    model = network(halvings=1)
    model.graph.node[1].attribute[0].CopyFrom(helper.make_attribute("strides", [0, 0]))
    assert total_stride(Facts(model)) == 1
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.full(4, 1e-45, np.float32), "scales"))
    again = [helper.make_node("Resize", [f"{n}" if n else "up", "", "scales"], [f"{n + 1}"]) for n in range(9)]
    model.graph.node.extend(again)
    assert total_stride(Facts(model)) == 1024


def test_open_dimensions_get_usual_sizes_that_fit() -> None:
    (item,) = found(network(), Code.OPEN_SHAPE)
    assert item.severity is Severity.ERROR
    assert item.remedy == "--shape image=1,3,320,320"
    assert "320, 416, 640 are multiples of its stride 32" in item.message


def test_an_unusual_stride_gets_sizes_of_its_own() -> None:
    (item,) = found(network(halvings=7), Code.OPEN_SHAPE)
    assert item.remedy == "--shape image=1,3,640,640"


def test_an_open_batch_alone_is_no_error() -> None:
    assert not found(network(("N", 3, 64, 64)), Code.OPEN_SHAPE)


def test_a_shape_that_is_asked_for_closes_them() -> None:
    assert not found(network(), Code.OPEN_SHAPE, InputSpec(shape=(1, 3, 64, 64)))


def test_sides_that_are_no_multiples_are_told_where_the_network_enlarges() -> None:
    asked = InputSpec(shape=(1, 3, 100, 64))
    (item,) = found(network(), Code.STRIDE, asked)
    assert item.remedy == "--shape image=1,3,128,64"
    assert not found(network(up=False), Code.STRIDE, asked)


def test_a_shape_that_contradicts_the_model_is_refused() -> None:
    (item,) = found(network((1, 3, 64, 64)), Code.SHAPE, InputSpec(shape=(1, 3, 32, 32)))
    assert item.remedy == "--shape image=1,3,64,64"
    assert found(network(), Code.SHAPE, InputSpec(shape=(3, 32, 32)))


def test_batches_wide_integers_and_odd_ranks_are_told() -> None:
    assert found(network((4, 3, 64, 64)), Code.BATCH)
    assert found(network((1, 3, 64, 64), dtype=TensorProto.INT64), Code.WIDE_INTEGERS)
    assert not found(network((1, 3, 64, 64)), Code.RANK, platform="rvc4")
    flat = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
    )  # fmt: skip
    model = helper.make_model(flat, opset_imports=[helper.make_opsetid("", 17)])
    assert found(model, Code.RANK, platform="rvc4")
    assert not found(model, Code.RANK, platform="rvc2")


def test_grey_on_three_channels_and_colours_on_one_are_told() -> None:
    grey = InputSpec(encoding_from=Encoding.GRAY, encoding_to=Encoding.GRAY)
    (item,) = found(network((1, 3, 64, 64)), Code.ENCODING, grey)
    assert item.severity is Severity.WARNING
    (item,) = found(network((1, 1, 64, 64)), Code.ENCODING, InputSpec(encoding_from=Encoding.BGR))
    assert item.severity is Severity.ERROR
    assert item.remedy == "--encoding-from image=GRAY"


def test_a_batch_is_told_and_never_refused() -> None:
    """Four images at once were refused for RVC2, whose compiler kept one of them until it was told not to."""
    four = network((4, 3, 64, 64))
    for platform in ("rvc2", "rvc4"):
        (item,) = found(four, Code.BATCH, platform=platform)
        assert item.severity is Severity.WARNING
    assert require(four, "rvc2", None) == ()


def test_rows_of_numbers_keep_their_count() -> None:
    """A matrix is no batch of images: the compiled file has all of its rows."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (item,) = found(model, Code.BATCH)
    assert item.severity is Severity.WARNING
    assert require(model, "rvc2", None) == ()


@pytest.mark.parametrize("dtype", [TensorProto.UINT16, TensorProto.INT8])
@pytest.mark.parametrize("platform", ["rvc2", "rvc4"])
def test_an_input_that_becomes_another_type_is_told(dtype: int, platform: str) -> None:
    """Depth of 16 bits was refused for RVC2, whose compiler has it not: "U16 isn't supported"."""
    model = network((1, 3, 64, 64), dtype=dtype)
    (item,) = found(model, Code.PORT_TYPE, platform=platform)
    assert item.severity is Severity.WARNING
    assert "float32" in item.remedy
    assert require(model, platform, None) == ()
    assert not found(network((1, 3, 64, 64), dtype=TensorProto.INT32), Code.PORT_TYPE, platform=platform)
    assert not found(model, Code.PORT_TYPE, platform="rvc3")


def test_an_input_of_text_is_refused_in_a_sentence() -> None:
    """A tokenizer's model was "perhaps", and ended with onnx's words on types."""
    model = network((1, 3, 64, 64), dtype=TensorProto.STRING)
    with pytest.raises(UnsupportedModel, match="takes text, and a camera computes with numbers"):
        require(model, "rvc4", None)


def test_nothing_but_its_end_is_told_of_an_input_that_nothing_reads() -> None:
    model = network((1, 3, 64, 64))
    model.graph.input.append(helper.make_tensor_value_info("im_info", TensorProto.UINT16, [4, 3, 8, 8]))
    (item,) = (item for item in Preflight(model).report("rvc2").findings if item.subject == "im_info")
    assert (item.code, item.severity) == (Code.UNUSED, Severity.NOTE)
    assert require(model, "rvc2", None) == ()


def test_a_batch_of_zero_is_told() -> None:
    (finding,) = found(network((0, 3, 64, 64)), Code.OPEN_SHAPE)
    assert "has no elements" in finding.message
    assert "--shape image=1,3,64,64" in finding.remedy
