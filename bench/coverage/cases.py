"""The one-operator models that are measured: the variants that real networks have, and those known to be trouble."""

from __future__ import annotations

from typing import Any

import numpy as np
from making import EARLY, Axes, Case, c, case, i, w, whole, x
from onnx import NodeProto, TensorProto, helper
from traits import traits

MAP = (1, 8, 16, 16)
SHAPES = ((1, 32), (1, 12, 16), MAP, (1, 4, 6, 8, 8))
INT = np.int64


def cases() -> list[Case]:
    """All of them; no name occurs twice."""
    found = [
        *elementwise(), *activations(), *comparisons(), *convolutions(), *pools(), *resizes(), *pads(), *reductions(),
        *indexing(), *shaping(), *products(), *norms(), *recurrent(), *others(), *quantizers(), *contributed(),
        *early(), *traits(),
    ]  # fmt: skip
    names = [item.name for item in found]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    return found


def elementwise() -> list[Case]:
    found: list[Case] = []
    for op in ("Add", "Sub", "Mul", "Div"):
        for shape in SHAPES:
            found.append(case(f"{op} {len(shape)}d constant", x(*shape), c([1.5])))
        found.append(case(f"{op} two inputs", x(*MAP), x(*MAP, low=0.5, seed=1)))
        found.append(case(f"{op} int64", x(1, 32, low=1, high=9, dtype=INT), i(2)))
        found.append(case(f"{op} int32", x(1, 32, low=1, high=9, dtype=np.int32), c([2], np.int32)))
    for op in ("Max", "Min"):
        found.append(case(f"{op} two inputs", x(*MAP), x(*MAP, seed=1)))
        found.append(case(f"{op} constant", x(*MAP), c([0.1])))
        found.append(case(f"{op} 3d", x(1, 12, 16), x(1, 12, 16, seed=1)))
    found += [case(f"{op} three", x(*MAP), x(*MAP, seed=1), x(*MAP, seed=2)) for op in ("Sum", "Mean")]
    found += [
        case("Pow 2", x(*MAP), c([2.0])),
        case("Pow 3 3d", x(1, 12, 16), c([3.0])),
        case("Pow half", x(*MAP, low=0.1), c([0.5])),
        case("Pow computed", x(*MAP, low=0.2), x(*MAP, low=0.5, seed=1)),
        case("Mod float", x(*MAP, low=-9, high=9), c([2.5]), fmod=1),
        case("Mod int64", x(1, 32, low=1, high=99, dtype=INT), i(7)),
        case("Mod int32", x(1, 32, low=1, high=99, dtype=np.int32), c([7], np.int32)),
        case("BitShift left", x(1, 32, low=0, high=9, dtype=np.uint8), c([2], np.uint8), direction="LEFT"),
        case("BitShift right", x(1, 32, low=0, high=99, dtype=np.uint32), c([2], np.uint32), direction="RIGHT"),
        case("BitwiseAnd", x(1, 32, low=0, high=99, dtype=np.int32), c([12], np.int32)),
    ]
    return found


def activations() -> list[Case]:
    found: list[Case] = []
    for op in ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Exp", "Sqrt", "Neg", "Abs"):
        low = 0.1 if op == "Sqrt" else -2.0
        found += [case(f"{op} {len(shape)}d", x(*shape, low=low)) for shape in SHAPES]
    for op in ("Elu", "Selu", "Celu", "Softplus", "Softsign", "HardSigmoid", "HardSwish", "Mish", "ThresholdedRelu",
               "Floor", "Ceil", "Round", "Sign", "Erf", "Sin", "Cos", "Sinh", "Cosh", "Asinh", "Atan", "Shrink",
               "IsNaN", "IsInf", "Gelu"):  # fmt: skip
        found.append(case(op, x(*MAP)))
    for op in ("HardSigmoid", "HardSwish", "Erf", "Softplus", "Gelu", "Sin", "Cos"):
        found.append(case(f"{op} 3d", x(1, 12, 16)))
    found += [case(op, x(*MAP, low=-0.9, high=0.9)) for op in ("Asin", "Acos", "Atanh", "Tan")]
    found += [case(op, x(*MAP, low=1.1, high=5)) for op in ("Acosh", "Log", "Reciprocal")]
    found += [case("Log 3d", x(1, 12, 16, low=0.1)), case("Reciprocal 3d", x(1, 12, 16, low=0.5))]
    found += [
        case("Gelu tanh", x(*MAP), approximate="tanh"),
        case("PRelu channels", x(*MAP), w(8, 1, 1)),
        case("PRelu one", x(*MAP), c([[[0.2]]])),
        case("PRelu 2d", x(1, 32), w(32)),
        case("Clip both", x(*MAP), c(-1.0), c(1.0)),
        case("Clip low", x(*MAP), c(0.5)),
        case("Clip 2d", x(1, 32), c(0.0), c(1.0)),
        case("Clip 3d", x(1, 12, 16), c(0.0), c(1.0)),
        case("Clip int64", x(1, 32, low=0, high=99, dtype=INT), c(5, INT), c(50, INT)),
        case("Dropout", x(*MAP), around=then_relu, result="z"),
        case("Identity", x(*MAP), around=then_relu, result="z"),
        case("Identity 3d", x(1, 12, 16), around=then_relu, result="z"),
        *(case(f"{op} last {len(shape)}d", x(*shape), axis=-1) for op in ("Softmax", "LogSoftmax") for shape in SHAPES),
        *(case(f"{op} channels", x(*MAP), axis=1) for op in ("Softmax", "LogSoftmax")),
        case("Softmax 3d axis 1", x(1, 12, 16), axis=1),
        case("Hardmax", x(1, 32), axis=-1),
        case("Erf in Gelu", x(1, 12, 16), around=gelu, result="z"),
        case("Erf in Gelu 4d", x(*MAP), around=gelu, result="z"),
        case("Sigmoid in Swish", x(*MAP), around=swish, result="z"),
    ]
    return found


def gelu(node: NodeProto) -> list[NodeProto]:
    """The nodes that exporters write for Gelu, around the Erf."""

    def number(value: float, name: str) -> NodeProto:
        return helper.make_node(
            "Constant", [], [name], name, value=helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        )

    node.input[0] = "scaled"
    return [
        number(2**0.5, "root"), number(1.0, "unit"), number(0.5, "half"),
        helper.make_node("Div", ["x0", "root"], ["scaled"], "div"),
        node,
        helper.make_node("Add", [node.output[0], "unit"], ["raised"], "add"),
        helper.make_node("Mul", ["x0", "raised"], ["doubled"], "mul"),
        helper.make_node("Mul", ["doubled", "half"], ["z"], "halve"),
    ]  # fmt: skip


def then_relu(node: NodeProto) -> list[NodeProto]:
    """What passes its input on is not compiled alone: an output would be an input."""
    return [node, helper.make_node("Relu", [node.output[0]], ["z"], "relu")]


def swish(node: NodeProto) -> list[NodeProto]:
    return [node, helper.make_node("Mul", ["x0", node.output[0]], ["z"], "mul")]


def comparisons() -> list[Case]:
    found = [case(op, x(*MAP), x(*MAP, seed=1)) for op in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual")]
    found.append(case("Equal", whole(*MAP), whole(*MAP, seed=1)))
    found.append(case("Equal constant", whole(*MAP), c([1.0])))
    found += [case(f"{op} constant", x(*MAP), c([0.1])) for op in ("Less", "Greater")]
    found += [case(f"{op} 2d", x(1, 32), c([0.1])) for op in ("Less", "Greater", "GreaterOrEqual")]
    found += [case(f"{op} int64", x(1, 32, low=0, high=3, dtype=INT), i(1)) for op in ("Less", "Greater", "Equal")]
    found += [case(op, x(*MAP, dtype=bool), x(*MAP, dtype=bool, seed=1)) for op in ("And", "Or", "Xor")]
    found += [
        case("Not", x(*MAP, dtype=bool)),
        case("Where bool input", x(*MAP, dtype=bool), x(*MAP), x(*MAP, seed=1)),
        case("Where constant mask", c(np.arange(16) % 2 == 0, bool), x(*MAP), x(*MAP, seed=1)),
    ]
    return found


def convolutions() -> list[Case]:
    image = x(*MAP)
    return [
        case("Conv 1x1", image, w(8, 8, 1, 1)),
        case("Conv 3x3 bias", image, w(8, 8, 3, 3), w(8), pads=[1] * 4),
        case("Conv strided", image, w(8, 8, 3, 3), pads=[1] * 4, strides=[2, 2]),
        case("Conv dilated", image, w(8, 8, 3, 3), pads=[2] * 4, dilations=[2, 2]),
        case("Conv grouped", image, w(8, 4, 3, 3), group=2),
        case("Conv grouped dilated", image, w(8, 4, 3, 3), group=2, dilations=[2, 2]),
        case("Conv depthwise", image, w(8, 1, 3, 3), pads=[1] * 4, group=8),
        case("Conv depthwise 5x5 strided", image, w(8, 1, 5, 5), pads=[2] * 4, group=8, strides=[2, 2]),
        case("Conv depthwise dilated", image, w(8, 1, 3, 3), pads=[2] * 4, group=8, dilations=[2, 2]),
        case("Conv same upper", image, w(8, 8, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
        case("Conv same lower", image, w(8, 8, 3, 3), auto_pad="SAME_LOWER", strides=[2, 2]),
        case("Conv valid", image, w(8, 8, 3, 3), auto_pad="VALID"),
        case("Conv uneven pads", image, w(8, 8, 3, 3), pads=[0, 1, 1, 0]),
        case("Conv 1d", x(1, 8, 32), w(8, 8, 3), pads=[1, 1]),
        case("Conv 1d dilated", x(1, 8, 32), w(8, 8, 3), dilations=[2]),
        case("Conv 1d depthwise", x(1, 8, 32), w(8, 1, 3), group=8),
        case("Conv 3d", x(1, 4, 6, 8, 8), w(4, 4, 3, 3, 3), pads=[1] * 6),
        case("Conv 3d grouped", x(1, 4, 6, 8, 8), w(4, 2, 3, 3, 3), group=2),
        case("Conv computed weights", image, x(8, 8, 3, 3, seed=3)),
        case("ConvTranspose 2x2", image, w(8, 4, 2, 2), strides=[2, 2]),
        case("ConvTranspose 4x4 bias", image, w(8, 4, 4, 4), w(4), strides=[2, 2], pads=[1] * 4),
        case("ConvTranspose output padding", image, w(8, 4, 3, 3), strides=[2, 2], pads=[1] * 4, output_padding=[1, 1]),
        case("ConvTranspose grouped", image, w(8, 4, 3, 3), strides=[2, 2], group=2),
        case("ConvTranspose depthwise", image, w(8, 1, 4, 4), strides=[2, 2], pads=[1] * 4, group=8),
        case("ConvTranspose dilated", image, w(8, 4, 3, 3), dilations=[2, 2]),
        case("ConvTranspose same upper", image, w(8, 4, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
        case("ConvTranspose 1d", x(1, 8, 32), w(8, 4, 4), strides=[2], pads=[1, 1]),
        case("ConvTranspose 3d", x(1, 4, 4, 6, 6), w(4, 4, 2, 2, 2), strides=[2, 2, 2]),
        case("DeformConv", image, w(8, 8, 3, 3), x(1, 18, 14, 14, seed=3)),
    ]


def pools() -> list[Case]:
    image = x(1, 8, 15, 15)
    found: list[Case] = []
    for op in ("MaxPool", "AveragePool"):
        found += [
            case(op, image, kernel_shape=[2, 2], strides=[2, 2]),
            case(f"{op} padded", image, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
            case(f"{op} 5x5 same size", image, kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4),
            case(f"{op} ceil", image, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
            case(f"{op} ceil padded", x(1, 8, 14, 14), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1),
            case(f"{op} same upper", image, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
            case(f"{op} dilated", image, kernel_shape=[3, 3], dilations=[2, 2]),
            case(f"{op} 1d", x(1, 8, 32), kernel_shape=[2], strides=[2]),
            case(f"{op} 3d", x(1, 4, 6, 8, 8), kernel_shape=[2] * 3, strides=[2] * 3),
        ]
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        found += [case(f"{op} {len(shape)}d", x(*shape)) for shape in SHAPES[1:]]
    return [
        *found,
        case("MaxPool with indices", image, kernel_shape=[2, 2], strides=[2, 2], outputs=2),
        case("AveragePool counts padding", image, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
        case("AveragePool counts padding ceil", x(1, 8, 14, 14), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4,
             count_include_pad=1, ceil_mode=1),
        case("LpPool", image, kernel_shape=[2, 2], strides=[2, 2]),
        case("LpPool p1", image, kernel_shape=[2, 2], strides=[2, 2], p=1),
        case("GlobalLpPool", image),
        case("MaxUnpool", x(1, 8, 4, 4), c(np.arange(128).reshape(1, 8, 4, 4) * 4, INT), kernel_shape=[2, 2],
             strides=[2, 2]),
        case("MaxRoiPool", image, c([[0, 0, 0, 8, 8]]), pooled_shape=[2, 2]),
        case("RoiAlign", image, c([[0, 0, 8, 8], [2, 2, 9, 9]]), i(0, 0), output_height=2, output_width=2),
    ]  # fmt: skip


def resizes() -> list[Case]:
    found = []
    double = c([1, 1, 2, 2])
    for mode in ("nearest", "linear", "cubic"):
        for change in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            rounding: dict[str, Any] = {"nearest_mode": "floor"} if mode == "nearest" else {}
            found.append(
                case(f"Resize {mode} {change}", x(*MAP), None, double, mode=mode,
                     coordinate_transformation_mode=change, **rounding)
            )  # fmt: skip
    return [
        *found,
        case("Resize nearest default rounding", x(*MAP), None, double, mode="nearest"),
        case("Resize nearest ceil", x(*MAP), None, double, mode="nearest", nearest_mode="ceil"),
        case("Resize nearest asymmetric default", x(*MAP), None, double, mode="nearest",
             coordinate_transformation_mode="asymmetric"),
        case("Resize linear to sizes", x(*MAP), None, None, i(1, 8, 24, 40), mode="linear"),
        case("Resize nearest to sizes", x(*MAP), None, None, i(1, 8, 32, 32), mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        case("Resize linear down", x(*MAP), None, c([1, 1, 0.5, 0.5]), mode="linear"),
        case("Resize linear down align", x(*MAP), None, None, i(1, 8, 7, 9), mode="linear",
             coordinate_transformation_mode="align_corners"),
        case("Resize nearest down", x(*MAP), None, c([1, 1, 0.5, 0.5]), mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric"),
        case("Resize cubic down", x(*MAP), None, c([1, 1, 0.5, 0.5]), mode="cubic"),
        case("Resize antialias", x(*MAP), None, c([1, 1, 0.5, 0.5]), mode="linear", antialias=1),
        case("Resize linear 3d", x(1, 8, 16), None, c([1, 1, 2]), mode="linear"),
        case("Resize nearest 3d", x(1, 8, 16), None, c([1, 1, 2]), mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        case("Resize linear 5d", x(1, 4, 6, 8, 8), None, c([1, 1, 2, 2, 2]), mode="linear"),
        case("Resize nearest 5d", x(1, 4, 6, 8, 8), None, c([1, 1, 2, 2, 2]), mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        case("Resize channels", x(*MAP), None, c([1, 2, 1, 1]), mode="nearest"),
    ]  # fmt: skip


def pads() -> list[Case]:
    around = i(0, 0, 1, 2, 0, 0, 2, 1)
    found = [case(f"Pad {mode}", x(*MAP), around, mode=mode) for mode in ("constant", "reflect", "edge")]
    found += [case(f"Pad {mode} 3d", x(1, 8, 16), i(0, 0, 1, 0, 0, 2), mode=mode) for mode in ("constant", "reflect")]
    return [
        *found,
        case("Pad wrap", x(*MAP), around, mode="wrap", opsets=range(19, 21)),
        case("Pad value", x(*MAP), around, c(1.5)),
        case("Pad channels", x(*MAP), i(0, 4, 0, 0, 0, 4, 0, 0)),
        case("Pad negative", x(*MAP), i(0, 0, -1, -2, 0, 0, -1, 0)),
        case("Pad 2d", x(1, 32), i(0, 1, 0, 2)),
        case("Pad 5d", x(1, 4, 6, 8, 8), i(0, 0, 1, 1, 1, 0, 0, 1, 1, 1)),
        case("Pad axes", x(*MAP), i(1, 1), None, i(3)),
    ]


REDUCTIONS = {
    "ReduceMean": 18, "ReduceSum": 13, "ReduceMax": 18, "ReduceMin": 18, "ReduceProd": 18, "ReduceL1": 18,
    "ReduceL2": 18, "ReduceLogSum": 18, "ReduceLogSumExp": 18, "ReduceSumSquare": 18,
}  # fmt: skip
"""The opset at which each operator's axes became an input."""


def reductions() -> list[Case]:
    found: list[Case] = []
    for op, since in REDUCTIONS.items():
        image = x(*MAP, low=0.1)
        found += [
            case(f"{op} spatial", image, Axes("axes", (2, 3), since)),
            case(f"{op} spatial dropped", image, Axes("axes", (2, 3), since), keepdims=0),
            case(f"{op} channels", image, Axes("axes", (1,), since)),
            case(f"{op} last 3d", x(1, 12, 16, low=0.1), Axes("axes", (-1,), since)),
            case(f"{op} to a scalar", image, keepdims=0),
        ]
    for op in ("ReduceMean", "ReduceSum", "ReduceMax"):
        found += [
            case(f"{op} all kept", x(*MAP), keepdims=1),
            case(f"{op} channels dropped", x(*MAP), Axes("axes", (1,), REDUCTIONS[op]), keepdims=0),
            case(f"{op} 2d", x(1, 32), Axes("axes", (1,), REDUCTIONS[op])),
            case(f"{op} 3d dropped", x(1, 12, 16), Axes("axes", (1,), REDUCTIONS[op]), keepdims=0),
            case(f"{op} 5d", x(1, 4, 6, 8, 8), Axes("axes", (2, 3, 4), REDUCTIONS[op])),
        ]
    for op in ("ArgMax", "ArgMin"):
        found += [
            case(f"{op} channels", x(*MAP), axis=1),
            case(f"{op} channels dropped", x(*MAP), axis=1, keepdims=0),
            case(f"{op} last", x(1, 32), axis=-1),
        ]
    return [
        *found,
        case("ArgMax last dropped 2d", x(1, 32), axis=-1, keepdims=0),
        case("ArgMax 3d", x(1, 12, 16), axis=-1),
        case("ArgMax 3d dropped", x(1, 12, 16), axis=-1, keepdims=0),
        case("ArgMax last index", x(1, 32), axis=-1, select_last_index=1),
        case("TopK", x(1, 32), i(5), outputs=2),
        case("TopK smallest", x(1, 32), i(5), outputs=2, largest=0),
        case("TopK unsorted", x(1, 32), i(5), outputs=2, sorted=0),
        case("TopK 3d", x(1, 12, 16), i(5), outputs=2),
        case("TopK 4d channels", x(*MAP), i(3), outputs=2, axis=1),
        case("CumSum", x(*MAP), c(1, INT)),
        case("CumSum 2d", x(1, 32), c(1, INT)),
        case("CumSum exclusive", x(1, 32), c(1, INT), exclusive=1),
        case("CumSum reverse", x(1, 32), c(1, INT), reverse=1),
    ]


def indexing() -> list[Case]:
    pairs = c([[0, 1], [0, 3]], INT)
    rows = x(1, 6, 16)
    found = [
        case("Gather channels", x(*MAP), i(2, 0, 1), axis=1),
        case("Gather last", x(*MAP), i(3, 1), axis=3),
        case("Gather scalar", x(1, 12, 16), c(2, INT), axis=1),
        case("Gather scalar 4d", x(*MAP), c(2, INT), axis=1),
        case("Gather scalar 2d", x(1, 32), c(2, INT), axis=1),
        case("Gather 2d", x(1, 32), i(3, 1), axis=1),
        case("Gather 3d", x(1, 12, 16), i(3, 1), axis=1),
        case("Gather 5d scalar", x(1, 4, 6, 8, 8), c(1, INT), axis=2),
        case("Gather negative", x(1, 12, 16), c(-1, INT), axis=1),
        case("Gather embedding int64", w(32, 16), x(1, 6, low=0, high=32, dtype=INT)),
        case("Gather embedding int32", w(32, 16), x(1, 6, low=0, high=32, dtype=np.int32)),
        case("Gather computed", x(1, 12, 16), x(4, low=0, high=12, dtype=INT, seed=1), axis=1),
        case("GatherElements constant", x(1, 32), c([[3, 1, 5]], INT), axis=1),
        case("GatherElements", x(1, 32), x(1, 5, low=0, high=32, dtype=INT, seed=1), axis=1),
        case("GatherElements 3d", x(1, 12, 16), x(1, 4, 16, low=0, high=12, dtype=INT, seed=1), axis=1),
        case("GatherND", rows, pairs),
        case("GatherND computed", rows, x(2, 2, low=0, high=1, dtype=INT, seed=1)),
        case("GatherND batch", rows, c([[[1], [3]]], INT), batch_dims=1),
        case("ScatterElements", x(1, 32), c([[3, 1, 5]], INT), x(1, 3, seed=1), axis=1),
        case("ScatterElements computed", x(1, 32), x(1, 3, low=0, high=32, dtype=INT), x(1, 3, seed=1), axis=1),
        case("ScatterND", rows, pairs, x(2, 16, seed=1)),
        case("ScatterND computed", rows, x(1, 2, low=0, high=1, dtype=INT), x(1, 16, seed=1)),
        case("ScatterND negative", rows, c([[0, -1], [0, -3]], INT), x(2, 16, seed=1)),
        case("ScatterND 4d", x(*MAP), c([[0, 1], [0, 3]], INT), x(2, 16, 16, seed=1)),
        case("Compress", x(1, 32), c(np.arange(32) % 2 == 0, bool), axis=1),
        case("NonZero", x(1, 32)),
        case("NonMaxSuppression", x(1, 16, 4, low=0, high=1), x(1, 2, 16, low=0, high=1, seed=1), i(5), c([0.5]),
             c([0.1])),
        case("Unique", x(32)),
        case("OneHot", x(1, 6, low=0, high=8, dtype=INT), c(8, INT), c([0.0, 1.0])),
        case("EyeLike", x(4, 4)),
        case("Det", x(1, 4, 4)),
        case("ReverseSequence", x(1, 6, 16), i(4), batch_axis=0, time_axis=1),
    ]  # fmt: skip
    for op, (data, index, fresh) in {
        "ScatterElements": (x(1, 32), c([[3, 1, 5]], INT), x(1, 3, seed=1)),
        "ScatterND": (rows, pairs, x(2, 16, seed=1)),
    }.items():
        for kind, first in (("add", 16), ("mul", 16), ("max", 18), ("min", 18)):
            axis: dict[str, Any] = {"axis": 1} if op == "ScatterElements" else {}
            name = f"{op} reduction {kind}"
            found.append(case(name, data, index, fresh, reduction=kind, opsets=range(first, 21), **axis))
    return found


def shaping() -> list[Case]:
    orders = {2: (1, 0), 3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 1, 3, 4), 6: (0, 1, 4, 2, 5, 3)}
    found = [case(f"Transpose {n}d", x(*(1, 4, 6, 8, 2, 2)[:n]), perm=orders[n]) for n in orders]
    found += [case(f"Reshape {len(s)}d", x(*s), i(1, -1)) for s in (SHAPES[1], SHAPES[2], SHAPES[3])]
    found += [
        case("Reshape 2d to 4d", x(1, 32), i(1, 2, 4, 4)),
        case("Reshape 4d to 3d", x(*MAP), i(1, 8, 256)),
        case("Reshape 4d to 5d", x(*MAP), i(1, 2, 4, 16, 16)),
        case("Reshape 4d to 6d", x(*MAP), i(1, 2, 2, 2, 16, 16)),
        case("Flatten", x(*MAP)),
        case("Flatten 3d", x(1, 12, 16)),
        case("Squeeze", x(1, 8, 1, 1), Axes("axes", (2, 3), 13)),
        case("Squeeze 3d", x(1, 8, 1), Axes("axes", (2,), 13)),
        case("Unsqueeze 2d", x(1, 8), Axes("axes", (2, 3), 13)),
        case("Unsqueeze 3d", x(1, 8, 16), Axes("axes", (1,), 13)),
        case("Unsqueeze 4d", x(*MAP), Axes("axes", (1,), 13)),
        case("Split even", x(*MAP), Axes("split", (4, 4), 13), outputs=2, axis=1),
        case("Split uneven", x(*MAP), Axes("split", (3, 5), 13), outputs=2, axis=1),
        case("Split 3d", x(1, 12, 16), Axes("split", (4, 12), 13), outputs=2, axis=2),
        case("Split 3d even", x(1, 12, 16), Axes("split", (8, 8), 13), outputs=2, axis=2),
        case("Split 2d", x(1, 32), Axes("split", (16, 16), 13), outputs=2, axis=1),
        case("Split 5d", x(1, 4, 6, 8, 8), Axes("split", (2, 2), 13), outputs=2, axis=1),
        case("Split number", x(*MAP), outputs=2, axis=1, num_outputs=2),
        case("Slice", x(*MAP), i(2, 1), i(10, 15), i(2, 3)),
        case("Slice in steps", x(*MAP), i(0, 1), i(16, 16), i(2, 3), i(2, 2)),
        case("Slice channels", x(*MAP), i(2), i(6), i(1)),
        case("Slice backwards", x(*MAP), i(15), i(-17), i(3), i(-1)),
        case("Slice 2d", x(1, 32), i(2), i(20), i(1)),
        case("Slice 3d", x(1, 12, 16), i(2), i(-2), i(2)),
        case("Slice 3d in steps", x(1, 12, 16), i(0), i(16), i(2), i(2)),
        case("Slice 5d", x(1, 4, 6, 8, 8), i(1), i(5), i(2)),
        case("Tile", x(*MAP), i(1, 1, 2, 2)),
        case("Tile 3d", x(1, 12, 16), i(1, 2, 1)),
        case("Expand", x(1, 8, 1, 1), i(1, 8, 4, 4)),
        case("Expand 3d", x(1, 1, 16), i(1, 4, 16)),
        case("DepthToSpace default", x(*MAP), blocksize=2),
        case("DepthToSpace DCR", x(*MAP), blocksize=2, mode="DCR"),
        case("DepthToSpace CRD", x(*MAP), blocksize=2, mode="CRD"),
        case("SpaceToDepth", x(*MAP), blocksize=2),
        case("Cast to float16", x(*MAP), to=TensorProto.FLOAT16),
        case("Cast to int32", x(*MAP), to=TensorProto.INT32),
        case("Cast to int64", x(1, 32), to=TensorProto.INT64),
        case("Cast to bool", x(*MAP), to=TensorProto.BOOL),
        case("Cast to double", x(*MAP), to=TensorProto.DOUBLE),
        case("Cast uint8 to float", x(*MAP, low=0, high=255, dtype=np.uint8), to=TensorProto.FLOAT),
        case("Cast int64 to float", x(1, 32, low=0, high=99, dtype=INT), to=TensorProto.FLOAT),
        case("Cast int32 to float", x(1, 32, low=0, high=99, dtype=np.int32), to=TensorProto.FLOAT),
        case("Cast bool to float", x(*MAP, dtype=bool), to=TensorProto.FLOAT),
        case("Trilu", x(1, 16, 16), upper=1),
        case("Trilu lower", x(1, 16, 16), upper=0),
        case("Range computed", x(low=4, high=9, dtype=INT), c(1, INT), c(1, INT)),
    ]
    for shape in SHAPES:
        joined = (x(*shape), x(*shape, seed=1))
        found.append(case(f"Concat {len(shape)}d", *joined, axis=1))
        found.append(case(f"Concat last {len(shape)}d", *joined, axis=-1))
    return found


def products() -> list[Case]:
    return [
        case("MatMul 2d", x(1, 32), w(32, 8)),
        case("MatMul 3d", x(1, 12, 16), w(16, 8)),
        case("MatMul 4d", x(1, 4, 12, 16), w(16, 8)),
        case("MatMul 5d", x(1, 2, 4, 12, 16), w(16, 8)),
        case("MatMul 2d computed", x(4, 32), x(32, 8, seed=1)),
        case("MatMul 3d computed", x(1, 12, 16), x(1, 16, 12, seed=1)),
        case("MatMul 4d computed", x(1, 4, 12, 16), x(1, 4, 16, 12, seed=1)),
        case("MatMul 5d computed", x(1, 2, 4, 12, 16), x(1, 2, 4, 16, 12, seed=1)),
        case("MatMul broadcast", x(1, 4, 12, 16), x(16, 12, seed=1)),
        case("Gemm", x(1, 32), w(32, 8), w(8)),
        case("Gemm transB", x(1, 32), w(8, 32), w(8), transB=1),
        case("Gemm transA", x(32, 1), w(32, 8), w(8), transA=1),
        case("Gemm alpha", x(1, 32), w(32, 8), w(8), alpha=0.5, beta=2.0),
        case("Gemm without bias", x(1, 32), w(32, 8)),
        case("Gemm computed", x(4, 32), x(32, 8, seed=1), w(8)),
        case("Einsum bmm", x(1, 12, 16), x(1, 16, 8, seed=1), equation="bij,bjk->bik"),
        case("Einsum dense", x(*MAP), w(8, 4), equation="bchw,cd->bdhw"),
        case("Einsum attention", x(1, 4, 12, 16), x(1, 4, 12, 16, seed=1), equation="bhqd,bhkd->bhqk"),
        case("Einsum attention heads", x(1, 12, 4, 16), x(1, 12, 4, 16, seed=1), equation="bqhd,bkhd->bhqk"),
        case("Einsum outer", x(1, 12), x(1, 16, seed=1), equation="bi,bj->bij"),
        case("Einsum trace", x(4, 4), equation="ii->i"),
    ]


def norms() -> list[Case]:
    def batch(n: int) -> tuple[object, ...]:
        return (c(np.linspace(0.5, 1.5, n)), w(n), w(n, seed=8), c(np.linspace(0.5, 2, n)))

    found = [case(f"BatchNormalization {len(s)}d", x(*s), *batch(s[1])) for s in SHAPES]  # type: ignore[arg-type]
    found += [
        case(f"InstanceNormalization {len(s)}d", x(*s), c(np.linspace(0.5, 1.5, s[1])), w(s[1])) for s in SHAPES[1:]
    ]
    return [
        *found,
        case("LayerNormalization 2d", x(1, 32), c(np.linspace(0.5, 1.5, 32)), w(32)),
        case("LayerNormalization 3d", x(1, 12, 16), c(np.linspace(0.5, 1.5, 16)), w(16)),
        case("LayerNormalization 4d", x(*MAP), c(np.linspace(0.5, 1.5, 16)), w(16)),
        case("LayerNormalization without bias", x(1, 12, 16), c(np.linspace(0.5, 1.5, 16))),
        case("LayerNormalization three axes", x(*MAP), w(8, 16, 16), w(8, 16, 16, seed=8), axis=1),
        case("GroupNormalization", x(*MAP), c([0.5, 1.5]), c([0.1, -0.1]), num_groups=2),
        case("LRN", x(*MAP), size=5),
        case("LpNormalization", x(*MAP), axis=1),
        case("LpNormalization p1", x(*MAP), axis=1, p=1),
        case("LpNormalization 2d", x(1, 32), axis=1),
        case("MeanVarianceNormalization", x(*MAP)),
    ]


def recurrent() -> list[Case]:
    found: list[Case] = []
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}
    for op, count in gates.items():
        for direction in ("forward", "reverse", "bidirectional"):
            ways = 2 if direction == "bidirectional" else 1
            weights = (w(ways, count * 8, 6), w(ways, count * 8, 8, seed=8), w(ways, count * 16, seed=9))
            found.append(case(f"{op} {direction}", x(5, 1, 6), *weights, hidden_size=8, direction=direction, outputs=2))
        weights = (w(1, count * 8, 6), w(1, count * 8, 8, seed=8), w(1, count * 16, seed=9))
        found.append(case(f"{op} default", x(5, 1, 6), *weights, hidden_size=8))
        found.append(case(f"{op} batch first", x(1, 5, 6), *weights, hidden_size=8, layout=1))
        found.append(case(f"{op} 80 steps", x(80, 1, 6), *weights, hidden_size=8))
    weights = (w(1, 24, 6), w(1, 24, 8, seed=8), w(1, 48, seed=9))
    found.append(case("GRU linear", x(5, 1, 6), *weights, hidden_size=8, linear_before_reset=1))
    return found


def others() -> list[Case]:
    grid = x(1, 8, 8, 2, low=-1, high=1, seed=1)
    found = []
    for mode in ("bilinear", "nearest", "bicubic"):
        found.append(case(f"GridSample {mode}", x(*MAP), grid, mode=mode, opsets=range(16, 20)))
    for mode in ("linear", "nearest", "cubic"):
        found.append(case(f"GridSample {mode} 20", x(*MAP), grid, mode=mode, opsets=range(20, 21)))
    found += [
        case(f"GridSample {padding}", x(*MAP), grid, padding_mode=padding) for padding in ("border", "reflection")
    ]
    found.append(case("GridSample align", x(*MAP), grid, align_corners=1))
    found.append(case("GridSample 5d", x(1, 2, 4, 6, 6), x(1, 3, 4, 4, 3, low=-1, high=1, seed=1)))
    found.append(case("AffineGrid", x(1, 2, 3), i(1, 1, 8, 8)))
    found.append(case("Col2Im", x(1, 8, 9), i(4, 4), i(2, 2)))
    branches = [
        helper.make_graph([helper.make_node(op, ["x1"], [f"{op}_out"], op)], op, [],
                          [helper.make_tensor_value_info(f"{op}_out", TensorProto.FLOAT, [1, 32])])
        for op in ("Relu", "Neg")
    ]  # fmt: skip
    found.append(
        case("If", x(1, dtype=bool), x(1, 32), around=_without_second, then_branch=branches[0], else_branch=branches[1])
    )
    return found


def _without_second(node: NodeProto) -> list[NodeProto]:
    """If reads its data from within its branches."""
    del node.input[1:]
    return [node]


def quantizers() -> list[Case]:
    """Each with its partner, behind another node: whole numbers of 8 bits are never a boundary."""
    scale = c(0.05)
    found = []
    for op, around in (("QuantizeLinear", then_dequantized), ("DequantizeLinear", of_quantized)):
        for kind, zero in (("int8", c(3, np.int8)), ("uint8", c(128, np.uint8))):
            found.append(case(f"{op} {kind}", x(*MAP), scale, zero, around=around, result="z"))
        channels = (c([0.05] * 8), c([3] * 8, np.int8))
        found.append(case(f"{op} per channel", x(*MAP), *channels, around=around, result="z", axis=1))
    return [
        *found,
        case("DequantizeLinear weights", c(np.arange(-40, 24).reshape(8, 8, 1, 1), np.int8), scale, c(3, np.int8),
             x(*MAP), around=as_weights, result="z"),
        case("DynamicQuantizeLinear", x(1, 32), outputs=3),
    ]  # fmt: skip


def then_dequantized(node: NodeProto) -> list[NodeProto]:
    back = helper.make_node("DequantizeLinear", [node.output[0], *node.input[1:]], ["z"], "back")
    back.attribute.extend(node.attribute)
    node.input[0] = "positive"
    return [helper.make_node("Relu", ["x0"], ["positive"], "relu"), node, back]


def of_quantized(node: NodeProto) -> list[NodeProto]:
    first = helper.make_node("QuantizeLinear", ["positive", *node.input[1:]], ["stored"], "store")
    first.attribute.extend(node.attribute)
    node.input[0], node.output[0] = "stored", "z"
    return [helper.make_node("Relu", ["x0"], ["positive"], "relu"), first, node]


def as_weights(node: NodeProto) -> list[NodeProto]:
    """A convolution reads what is dequantized."""
    del node.input[3:]
    return [node, helper.make_node("Conv", ["x3", node.output[0]], ["z"], "conv")]


def contributed() -> list[Case]:
    """Operators of onnxruntime's own domain, which its optimizers write into models."""
    domain = "com.microsoft"
    return [
        case("Gelu microsoft", x(*MAP), domain=domain),
        case("FastGelu microsoft", x(1, 12, 16), domain=domain),
        case("QuickGelu microsoft", x(*MAP), domain=domain),
        case("BiasGelu microsoft", x(1, 12, 16), w(16), domain=domain),
        case("FusedConv microsoft", x(*MAP), w(8, 8, 3, 3), domain=domain, activation="Relu"),
        case("FusedMatMul microsoft", x(1, 12, 16), w(16, 8), domain=domain),
        case("Inverse microsoft", x(1, 4, 4), domain=domain),
    ]


def early() -> list[Case]:
    """Operators that were experimental, and that old exporters wrote."""
    return [
        case("Affine", x(*MAP), alpha=2.0, beta=0.5, opsets=EARLY),
        case("Crop", x(*MAP), border=[1, 2, 1, 2], opsets=EARLY),
        case("ImageScaler", x(*MAP), bias=[0.5] * 8, scale=2.0, opsets=EARLY),
    ]
