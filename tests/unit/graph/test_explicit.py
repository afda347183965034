"""What compilers misread is written out: pads that follow from shapes, the axes of old Softmaxes, pads of -inf."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.explicit import write_axes, write_out
from oakmill.graph.rewriting import attributes
from oakmill.graph.simplify import simplify
from oakmill.graph.skeleton import copy_of, infer_shapes
from tests.unit.graph.building import feeds, in_8_bits, ops, parse
from tests.unit.graph.test_decompose import recurrent

SAME = ("SAME_UPPER", "SAME_LOWER")


def written(model: ModelProto) -> ModelProto:
    """The model written out, which computes the same; the given one stays as it was."""
    infer_shapes(model)
    before = copy_of(model)
    data = feeds(model)
    wanted = equality.run(model, data)
    found = write_out(model)
    assert model == before
    equality.require_equal(wanted, equality.run(found, data))
    return found


def implicit(model: ModelProto) -> set[str]:
    given = {(item.name, item.s) for node in model.graph.node for item in node.attribute}
    return {name for name, value in given if name == "output_shape" or (name == "auto_pad" and value != b"NOTSET")}


def transposed(kernel: int = 3, **attrs: object) -> ModelProto:
    weights = np.random.default_rng(3).normal(size=[2, 1, kernel, kernel]).astype("f")
    model = parse("y = ConvTranspose(x, w)", inputs="float[1,2,6,5] x")
    model.graph.node[0].attribute.extend(helper.make_attribute(name, value) for name, value in attrs.items())
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return model


@pytest.mark.parametrize("mode", ["NOTSET", *SAME, "VALID"])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("shape", [[12, 10], [11, 10], [12, 11]])
def test_a_transposed_convolution_to_a_shape_gets_its_pads(mode: str, kernel: int, shape: list[int]) -> None:
    """OpenVINO 2022.2 ignored the shape: -2.2 dB, or an output turned into [65,65,4,1]."""
    found = written(transposed(kernel, auto_pad=mode, strides=[2, 2], output_shape=shape))
    assert implicit(found) == set()
    assert len(attributes(found.graph.node[0])["pads"]) == 4


@pytest.mark.parametrize(("mode", "kernel", "stride"), list(itertools.product(SAME, (3, 4, 5), (1, 2, 3))))
def test_same_of_a_transposed_convolution_gets_its_pads(mode: str, kernel: int, stride: int) -> None:
    assert implicit(written(transposed(kernel, auto_pad=mode, strides=[stride, stride]))) == set()


def test_more_than_a_stride_adds_stays_with_its_node() -> None:
    """Of a kernel smaller than its stride, onnxruntime's SAME is not what the definition says: nothing is written."""
    assert implicit(written(transposed(1, auto_pad="SAME_UPPER", strides=[2, 2]))) == {"auto_pad"}


POOLS = ("MaxPool", "AveragePool", "LpPool")


@pytest.mark.parametrize(("op", "mode", "stride"), list(itertools.product(POOLS, (*SAME, "VALID"), (1, 2, 3))))
def test_pools_get_their_pads(op: str, mode: str, stride: int) -> None:
    ceil = ", ceil_mode=1" if op != "LpPool" and mode in SAME else ""
    body = f'y = {op}<auto_pad="{mode}", kernel_shape=[4,2], strides=[{stride},{stride}]{ceil}>(x)'
    assert implicit(written(parse(body))) == set()


@pytest.mark.parametrize(("mode", "stride"), list(itertools.product((*SAME, "VALID"), (1, 2))))
def test_convolutions_get_their_pads(mode: str, stride: int) -> None:
    weights = "float[1,2,2,3] w = {1,2,3,4,5,6,7,8,9,8,7,6}"
    body = f'y = Conv<auto_pad="{mode}", strides=[{stride},{stride}]>(x, w)'
    found = written(parse(body, inputs="float[1,2,9,8] x", constants=weights))
    assert implicit(found) == set()


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", ["<axis=1>", "", "<axis=2>", "<axis=-3>", "<axis=0>"])
def test_old_softmaxes_flatten(op: str, axis: str) -> None:
    """OpenVINO takes the Softmax of opset 11 along one axis: -48 dB on a map."""
    found = written(parse(f"y = {op}{axis}(x)", opset=11))
    assert ops(found) == ["Reshape", op, "Reshape"]


@pytest.mark.parametrize(("opset", "axis"), [(11, 3), (11, -1), (13, 1)])
def test_a_softmax_of_one_axis_stays(opset: int, axis: int) -> None:
    assert ops(written(parse(f"y = Softmax<axis={axis}>(x)", opset=opset))) == ["Softmax"]


@pytest.mark.parametrize(("slopes", "rank"), [("float[5] s = {1, 2, 3, 4, 5}", 4), ("float[8,1,1] s", 3)])
def test_slopes_of_one_axis_are_written_for_all(slopes: str, rank: int) -> None:
    """OpenVINO took 16 slopes of the last axis for those of 16 channels: 4.4 dB, and no conversion."""
    model = parse("y = PRelu(x, s)", constants=slopes if "{" in slopes else f"{slopes} = {{1,2,3,4,5,6,7,8}}")
    found = written(model)
    assert ops(found) == ["PRelu"]
    (slope,) = (item for item in found.graph.initializer if item.name == found.graph.node[0].input[1])
    assert len(slope.dims) == rank


def padded(value: float, pool: str, *, pads: tuple[int, int] = (1, 1)) -> ModelProto:
    model = parse(f"p = Pad(x, pads, v) {pool}")
    a, b = pads
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, a, a, 0, 0, b, b]), "pads"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(value, "f"), "v"))
    return model


@pytest.mark.parametrize("value", [-np.inf, float(np.finfo("f").min), -65504.0])
@pytest.mark.parametrize("own", ["", ", pads=[0,1,1,0]"])
def test_a_pad_below_all_numbers_is_the_pools_own(value: float, own: str) -> None:
    """TensorFlow's "same" pooling: the compiler of RVC2 said "Unsupported pad value", and named no node."""
    model = padded(value, f"y = MaxPool<kernel_shape=[3,3], strides=[2,2]{own}>(p)")
    assert ops(written(model)) == ["MaxPool"]


def test_where_the_pool_cannot_take_them_the_lowest_half_is_written() -> None:
    model = padded(-np.inf, "y = MaxPool<kernel_shape=[3,3], ceil_mode=1>(p)")
    found = written(model)
    assert ops(found) == ["Pad", "MaxPool"]
    assert {float(numpy_helper.to_array(item)) for item in found.graph.initializer if not item.dims} >= {-65504.0}


@pytest.mark.parametrize(
    ("value", "pool"),
    [(0.0, "y = MaxPool<kernel_shape=[3,3]>(p)"), (-np.inf, "y = AveragePool<kernel_shape=[3,3]>(p)")],
)
def test_other_pads_stay(value: float, pool: str) -> None:
    model = infer_shapes(padded(value, pool))
    assert write_out(model) == model


def test_open_shapes_stay_as_they_are() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 11]> g (float[N,C,H,W] x) => (float[N,C,H,W] y) { y = Softmax(x) }'
    )
    assert ops(write_out(model)) == ["Softmax"]


def elements(op: str, *nodes: str, size: int = 4) -> ModelProto:
    more = ", u" if op == "ScatterElements" else ""
    text = "\n".join([*nodes, f"y = {op}<axis=1>(x, i{more})"])
    inputs = [f"float[1,{size},3] x", *([] if nodes else ["int64[1,2,3] i"]), *(["float[1,2,3] u"] if more else [])]
    return parse(text, inputs=", ".join(inputs))


FROM_THE_END = np.array([[[-1, 0, -4], [1, -2, 3]]])


@pytest.mark.parametrize("op", ["GatherElements", "ScatterElements"])
@pytest.mark.parametrize("compares_whole", [True, False])
def test_indices_that_count_from_the_end_count_from_the_front(op: str, compares_whole: bool) -> None:
    """Given as an input, they were read elsewhere in memory, and green: 3610 for 0.4 on RVC2, 2.4 off on RVC4."""
    model = elements(op)
    infer_shapes(model)
    drawn = np.random.default_rng(0)
    given = {value.name: drawn.normal(size=[1, 4 if value.name == "x" else 2, 3]).astype("f")
             for value in model.graph.input if value.name != "i"}  # fmt: skip
    found = write_out(model, compares_whole=compares_whole)
    wanted = equality.run(model, {**given, "i": FROM_THE_END})
    equality.require_equal(wanted, equality.run(found, {**given, "i": FROM_THE_END}))
    # What compilers misread is not there any more: the operator itself gets none below 0.
    node = next(node for node in found.graph.node if node.op_type == op)
    found.graph.output.append(helper.make_tensor_value_info(node.input[1], onnx.TensorProto.INT64, None))
    assert equality.run(found, {**given, "i": FROM_THE_END})[node.input[1]].min() >= 0


@pytest.mark.parametrize("op", ["GatherElements", "ScatterElements"])
def test_constant_indices_are_counted_anew(op: str) -> None:
    model = elements(op)
    values = numpy_helper.from_array(FROM_THE_END, "i")
    del model.graph.input[1]
    model.graph.initializer.append(values)
    found = written(model)
    node = found.graph.node[0]
    assert ops(found) == [op]
    assert {item.name for item in found.graph.initializer} > {"i"}
    assert node.input[1] != "i"


def test_indices_that_an_operator_counts_from_the_front_stay() -> None:
    """A detector's best boxes: nothing is added to them."""
    model = elements("GatherElements", "v, t = TopK<axis=1>(x, k)", "i = Identity(t)")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "k"))
    infer_shapes(model)
    assert ops(write_out(model)) == ["TopK", "Identity", "GatherElements"]


def test_indices_beyond_what_half_a_float_holds_stay() -> None:
    model = elements("GatherElements", size=2049)
    infer_shapes(model)
    assert ops(write_out(model, compares_whole=False)) == ["GatherElements"]


@pytest.mark.parametrize("op", ["GatherElements", "ScatterElements"])
def test_computed_indices_stay_what_they_are_in_8_bits(op: str) -> None:
    """They were counted in floats, which got 8 bits of their own: 48 of 100 elements were others on RVC4."""
    more, inputs = (", u", ", float[1,100] u") if op == "ScatterElements" else ("", "")
    model = parse(f"y = {op}<axis=1>(x, i{more})", inputs=f"float[1,100] x, int32[1,100] i{inputs}",
                  outputs="float[1,100] y")  # fmt: skip
    row = np.arange(100, dtype=np.float32)[None]
    data = {"x": row, "i": np.r_[50:100, -100:-50].astype(np.int32)[None], **({"u": row[:, ::-1]} if more else {})}
    infer_shapes(model)
    found = in_8_bits(write_out(model), data)["y"]
    assert np.abs(found - equality.run(model, data)["y"]).max() < 0.5


RESIZES = {
    "scales": ('y = Resize<mode = "linear", axes = [2, 3]>(x, , s)', "float[2] s = {2, 3}"),
    "swapped": ('y = Resize<mode = "nearest", axes = [3, 2]>(x, , s)', "float[2] s = {3, 2}"),
    "from the end": ('y = Resize<mode = "linear", axes = [-1]>(x, , s)', "float[1] s = {3}"),
    "sizes": ('y = Resize<mode = "linear", axes = [2, 3]>(x, , , s)', "int64[2] s = {12, 15}"),
}


@pytest.mark.parametrize("form", RESIZES)
def test_a_resize_of_some_axes_is_one_of_all_before_the_simplifier(form: str) -> None:
    """Two scales for four axes: the simplifier failed, and the whole model was converted without it."""
    body, constants = RESIZES[form]
    model = parse(body, constants=constants, opset=18)
    found = write_axes(model)
    (node,) = (node for node in found.graph.node if node.op_type == "Resize")
    assert "axes" not in attributes(node)
    equality.require_equal(equality.run(model, feeds(model)), equality.run(found, feeds(model)))
    assert ops(simplify(found)) == ["Resize"]


def test_a_resize_that_keeps_an_aspect_ratio_of_some_axes_stays() -> None:
    body = 'y = Resize<axes = [2, 3], keep_aspect_ratio_policy = "not_larger">(x, , , s)'
    model = parse(body, constants="int64[2] s = {12, 15}", opset=18)
    assert "axes" in attributes(write_axes(model).graph.node[0])
    plain = parse("y = Resize(x, , s)", constants="float[4] s = {1, 1, 2, 2}", opset=18)
    assert write_axes(plain) is plain


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("cell", [False, True])
def test_the_last_state_of_an_lstm_is_the_last_of_all(direction: str, cell: bool) -> None:
    """RVC2's compiler drops an LSTM whose steps nothing reads: "AssertionFailed: !expired()"."""
    model = recurrent("LSTM", 4, direction=direction, batch=2)
    del model.graph.output[0]
    if cell:
        model.graph.node[0].output.append("cell")
        model.graph.output.append(helper.make_tensor_value_info("cell", 1, None))
    found = written(model)
    layer = next(node for node in found.graph.node if node.op_type == "LSTM")
    assert [bool(name) for name in layer.output] == [True, False, *[True] * cell]


def test_an_lstm_whose_steps_are_read_stays() -> None:
    assert ops(written(recurrent("LSTM", 4))) == ["LSTM"]


ROUNDED_UP = {
    "MaxPool": ("kernel_shape = [1, 1], strides = [2, 2]", [0, 0, 0, 0]),
    "AveragePool": (
        "kernel_shape = [3, 3], strides = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1", [1, 1, 0, 0]
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", ROUNDED_UP)
def test_no_window_begins_on_the_padding_behind(op: str) -> None:
    """OpenVINO gave 2x2 of what ONNX says is 1x1: of sizes rounded up it counts windows of padding alone."""
    given, pads = ROUNDED_UP[op]
    model = parse(f"y = {op}<{given}, ceil_mode = 1>(x)", inputs="float[1,1,2,2] x", opset=19)
    (pool,) = written(model).graph.node
    assert "ceil_mode" not in attributes(pool)
    assert attributes(pool)["pads"] == pads


def test_sizes_that_are_rounded_up_stay_where_each_window_has_values() -> None:
    model = parse("y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x)", inputs="float[1,1,4,4] x")
    assert attributes(written(model).graph.node[0])["ceil_mode"] == 1
