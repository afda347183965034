"""More one-operator models: types of numbers at the boundary, computed shapes, uneven pads, ratios, rare operators.

What distinguishes the models on which a preflight that knew usual variants alone said yes too easily.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from making import Axes, Case, Fed, Operand, c, case, fed, i, w, x
from onnx import TensorProto

MAP = (1, 8, 16, 16)
SMALL = (1, 32)
INT = np.int64
TYPES: dict[str, Any] = {
    "uint8": np.uint8, "int8": np.int8, "uint16": np.uint16, "int16": np.int16, "uint32": np.uint32,
    "uint64": np.uint64, "float16": np.float16, "float64": np.float64,
}  # fmt: skip


def traits() -> list[Case]:
    """All of them."""
    return [
        *ports(),
        *truths(),
        *flat(),
        *computed_shapes(),
        *computed_weights(),
        *padding(),
        *ratios(),
        *values(),
        *rare(),
    ]


def ports() -> list[Case]:
    """Numbers of other types, at the model's boundary and inside."""
    found = []
    for name, kind in TYPES.items():
        number = TensorProto.DataType.Value({"float64": "DOUBLE"}.get(name, name.upper()))
        values = x(*MAP, low=0, high=99, dtype=kind)
        found.append(case(f"Cast from {name}", values, to=TensorProto.FLOAT))
        found.append(case(f"Cast to {name} given", x(*MAP, low=0, high=99), to=number))
        constant = c([2], kind)
        found += [case(f"{op} {name}", x(*SMALL, low=1, high=9, dtype=kind), constant) for op in ("Add", "Mul")]
        found += [case(f"{op} {name}", x(*SMALL, low=3, high=9, dtype=kind), constant) for op in ("Sub", "Div")]
        found += [case(f"{op} {name}", values, x(*MAP, low=0, high=99, dtype=kind, seed=1)) for op in ("Max", "Min")]
        found.append(case(f"Transpose {name}", values, perm=[0, 2, 3, 1]))
    for op in ("Relu", "Sigmoid", "Exp", "Neg", "Abs", "Softmax", "MatMul", "ReduceMean", "ReduceSum"):
        others: list[Operand] = [w(16, 8)] if op == "MatMul" else []
        for name in ("float16", "float64"):
            others = [c(item.value, TYPES[name]) for item in others]  # type: ignore[union-attr]
            found.append(case(f"{op} {name}", x(1, 12, 16, low=0.1, dtype=TYPES[name]), *others))
    found.append(case("MaxPool uint8", x(1, 8, 16, 16, low=0, high=99, dtype=np.uint8), kernel_shape=[2, 2]))
    found += [case(f"{op} {kind.__name__}", x(*SMALL, low=-9, high=9, dtype=kind), i_of(kind))
              for op in ("Max", "Min") for kind in (np.int32, np.int64)]  # fmt: skip
    return found


def i_of(kind: Any) -> Operand:
    return c([2], kind)


def truths() -> list[Case]:
    """Truth values that are inputs and outputs as they are."""
    first, second = x(*SMALL, dtype=bool), x(*SMALL, dtype=bool, seed=1)
    found = [case(f"{op} fed and given", first, second, truth=True) for op in ("And", "Or", "Xor", "Equal")]
    numbers = (x(*SMALL), x(*SMALL, seed=1))
    found += [
        case(f"{op} given", *numbers, truth=True)
        for op in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal")
    ]
    for kind in (np.int32, np.int64):
        pair = (x(*SMALL, low=0, high=4, dtype=kind), x(*SMALL, low=0, high=4, dtype=kind, seed=1))
        found += [
            case(f"{op} {kind.__name__} given", *pair, truth=True)
            for op in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal")
        ]
    return [
        *found,
        case("Not fed and given", first, truth=True),
        case("Where fed", first, *numbers, truth=True),
        *(
            case(f"Where of {kind.__name__}", first, *(x(*SMALL, low=-9, high=9, dtype=kind, seed=s) for s in (1, 2)))
            for kind in (np.int32, np.int64, np.uint8)
        ),
        case("IsNaN given", x(*SMALL), truth=True),
        case("IsInf given", x(*SMALL), truth=True),
        case("Cast from bool fed", first, to=TensorProto.FLOAT, truth=True),
        case("Cast to bool given", x(*SMALL), to=TensorProto.BOOL, truth=True),
        case("NonZero fed", first, truth=True),
    ]


def flat() -> list[Case]:
    """On one dimension, and on three."""
    row = x(12, low=0.1)
    unary = (
        "Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Floor", "Ceil", "Round", "Sign", "Erf", "Elu",
        "Selu", "LeakyRelu", "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Mish", "Gelu", "Reciprocal", "Celu",
        "ThresholdedRelu",
    )  # fmt: skip
    found = [case(f"{op} 1d", row) for op in unary]
    found += [
        case(f"{op} of 3d", x(1, 12, 16, low=0.1))
        for op in ("Floor", "Ceil", "Round", "Sign", "Elu", "Selu", "HardSwish", "Softsign", "Mish", "ThresholdedRelu",
                   "Celu")
    ]  # fmt: skip
    found += [case(f"{op} 1d", row, x(12, low=0.5, seed=1)) for op in ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min")]
    return [*found, case("Softmax 1d", row), case("Clip 1d", row, c(0.0), c(1.0)), case("Concat 1d", row, row, axis=0)]


def computed_shapes() -> list[Case]:
    """Shapes, axes and counts that are inputs of the model, as in ONNX's own tests."""
    image = x(*MAP, low=0.1)
    found: list[Case] = []
    for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
               "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"):  # fmt: skip
        first = 13 if op == "ReduceSum" else 18
        for keep in (0, 1):
            found.append(case(f"{op} computed axes {keep}", image, fed([2]), keepdims=keep, opsets=range(first, 21)))
    return [
        *found,
        case("Reshape computed", image, fed([1, 8, 256])),
        case("Squeeze computed", x(1, 8, 1, 1), fed([2, 3]), opsets=range(13, 21)),
        case("Unsqueeze computed", x(1, 8), fed([2]), opsets=range(13, 21)),
        case("Tile computed", image, fed([1, 1, 2, 2])),
        case("Expand computed", x(1, 8, 1, 1), fed([1, 8, 4, 4])),
        case("TopK computed", x(1, 32), fed([5]), outputs=2),
        case("Slice computed", image, fed([2]), fed([10]), fed([2])),
        case("Pad computed", image, fed([0, 0, 1, 1, 0, 0, 1, 1])),
        case("Split computed", image, fed([3, 5]), outputs=2, axis=1, opsets=range(13, 21)),
        case("Resize nearest computed scales", image, None, fed([1, 1, 2, 2], np.float32), mode="nearest"),
        case("Resize linear computed sizes", image, None, None, fed([1, 8, 32, 32]), mode="linear"),
        case("ConstantOfShape computed", fed([2, 3])),
        case("OneHot computed depth", x(1, 6, low=0, high=8, dtype=INT), fed(8), c([0.0, 1.0])),
        case("ReverseSequence computed", x(1, 6, 16), fed([4]), batch_axis=0, time_axis=1),
        case("CenterCropPad computed", x(1, 8, 16), fed([8, 16]), axes=[1, 2]),
        case("Clip computed bounds", image, fed(0.0, np.float32), fed(1.0, np.float32)),
        case("CumSum computed", x(1, 32), fed(1, INT)),
    ]


def computed_weights() -> list[Case]:
    """Weights that are inputs of the model."""

    def weights(*shape: int, seed: int = 3) -> Fed:
        return x(*shape, low=0.1, high=0.9, seed=seed)

    image = x(*MAP)
    found = []
    for op, count in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        given = (weights(1, count * 8, 6), weights(1, count * 8, 8, seed=4))
        found.append(case(f"{op} computed weights", x(5, 1, 6), *given, hidden_size=8, outputs=2))
    for op, count in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        constant = (w(1, count * 8, 6), w(1, count * 8, 8, seed=8))
        found.append(case(f"{op} last step", x(5, 1, 6), *constant, hidden_size=8, outputs=2, result="y1"))
        several: dict[str, Any] = {"hidden_size": 8, "outputs": 2}
        found.append(case(f"{op} several rows", x(5, 3, 6), *constant, **several))
        found.append(case(f"{op} several rows last", x(5, 3, 6), *constant, result="y1", **several))
    return [
        *found,
        case("ConvTranspose computed weights", image, weights(8, 4, 2, 2), strides=[2, 2]),
        case("ConvTranspose 1d computed weights", x(1, 8, 32), weights(8, 4, 3)),
        case("ConvTranspose 3d computed weights", x(1, 4, 4, 6, 6), weights(4, 4, 2, 2, 2)),
        case("Conv 1d computed weights", x(1, 8, 32), weights(8, 8, 3)),
        case("Conv depthwise computed weights", image, weights(8, 1, 3, 3), group=8),
        case("Conv computed weights strided", image, weights(8, 8, 3, 3), strides=[2, 2], pads=[1] * 4),
        case("Conv computed weights same", image, weights(8, 8, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
        case("PRelu computed slope", image, weights(8, 1, 1)),
        case("PRelu computed whole slope", x(1, 12, 16), weights(1, 12, 16)),
        case("BatchNormalization computed", image, *(weights(8, seed=seed) for seed in range(4))),
        case("InstanceNormalization computed", image, weights(8), weights(8, seed=4)),
        case("LayerNormalization computed", x(1, 12, 16), weights(16), weights(16, seed=4)),
        case("LayerNormalization statistics", x(1, 12, 16), w(16), w(16, seed=8), outputs=3),
        case("LayerNormalization 4d axis 2", image, w(16, 16), w(16, 16, seed=8), axis=2),
        case("LayerNormalization axis 0", x(12, 16), w(12, 16), w(12, 16, seed=8), axis=0),
    ]


def padding() -> list[Case]:
    """More on one side than on the other."""
    image = x(1, 8, 15, 15)
    uneven: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [0, 1, 1, 2]}
    found = [case(f"{op} uneven pads", image, **uneven) for op in ("MaxPool", "AveragePool")]
    found += [case(f"{op} same lower", image, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")
              for op in ("MaxPool", "AveragePool")]  # fmt: skip
    found += [case(f"{op} valid", image, kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")
              for op in ("MaxPool", "AveragePool")]  # fmt: skip
    return [
        *found,
        case("MaxPool uneven ceil", image, strides=[2, 2], ceil_mode=1, **uneven),
        case("AveragePool uneven ceil", image, strides=[2, 2], ceil_mode=1, **uneven),
        case("AveragePool uneven counts padding", image, count_include_pad=1, **uneven),
        case("AveragePool same upper counts padding", image, kernel_shape=[3, 3], strides=[2, 2], count_include_pad=1,
             auto_pad="SAME_UPPER"),
        case("AveragePool ceil last window", x(1, 8, 9, 9), kernel_shape=[3, 3], strides=[3, 3], pads=[1] * 4,
             ceil_mode=1),
        case("ConvTranspose uneven pads", x(*MAP), w(8, 4, 3, 3), strides=[2, 2], pads=[0, 1, 1, 0]),
        case("ConvTranspose output shape", x(*MAP), w(8, 4, 3, 3), strides=[2, 2], output_shape=[32, 32]),
        case("ConvTranspose same lower", x(*MAP), w(8, 4, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
        case("Conv 1d uneven pads", x(1, 8, 32), w(8, 8, 3), pads=[0, 2]),
        case("Pad of infinity", x(*MAP), i(0, 0, 1, 1, 0, 0, 1, 1), c(-np.inf)),
        case("Pad edge 3d", x(1, 8, 16), i(0, 0, 1, 0, 0, 2), mode="edge"),
        case("Clip bounds of one dimension", x(*MAP), c([0.0]), c([1.0])),
    ]  # fmt: skip


def ratios() -> list[Case]:
    """Other than doubled and halved, and the other ways of rounding."""
    found = []
    for mode in ("nearest", "linear", "cubic"):
        for change in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            rounding: dict[str, Any] = {"nearest_mode": "floor"} if mode == "nearest" else {}
            given: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": change, **rounding}
            for words, ratio in (("tripled", 3.0), ("by 1.25", 1.25), ("by 0.625", 0.625)):
                found.append(case(f"Resize {mode} {change} {words}", x(*MAP), None, c([1, 1, ratio, ratio]), **given))
    for rounding_mode in ("round_prefer_floor", "round_prefer_ceil", "ceil"):
        for change in ("half_pixel", "asymmetric"):
            given = {"mode": "nearest", "nearest_mode": rounding_mode, "coordinate_transformation_mode": change}
            for words, ratio in (("doubled", 2.0), ("tripled", 3.0), ("by 0.625", 0.625), ("halved", 0.5)):
                found.append(case(f"Resize {rounding_mode} {change} {words}", x(*MAP), None,
                                  c([1, 1, ratio, ratio]), **given))  # fmt: skip
    return [
        *found,
        case("Resize crop", x(*MAP), c([0, 0, 0.25, 0.25, 1, 1, 0.75, 0.75]), None, i(1, 8, 8, 8), mode="linear",
             coordinate_transformation_mode="tf_crop_and_resize"),
        case("Resize cubic outside", x(*MAP), None, c([1, 1, 2, 2]), mode="cubic", exclude_outside=1),
        case("Resize axes", x(*MAP), None, c([2.0, 2.0]), mode="linear", axes=[2, 3], opsets=range(18, 21)),
        case("Upsample nearest", x(*MAP), c([1, 1, 2, 2]), mode="nearest", opsets=range(9, 10)),
        case("Upsample linear", x(*MAP), c([1, 1, 2, 2]), mode="linear", opsets=range(9, 10)),
    ]  # fmt: skip


def values() -> list[Case]:
    """What forms of operators get wrong of unusual values alone: indices below 0, what is no number, rows of 0."""
    below = fed([[-1, 3, -7, 0]])
    odd = np.array([[1.5, np.nan, -2.0, np.inf, 0.0, -np.inf, 3.0, 0.25]], np.float32)
    zeros = x(1, 4, 8)
    zeros.samples[0][:, 1] = zeros.samples[1][:, 2] = 0
    found = [case(f"{op} odd numbers", Fed((odd, odd[:, ::-1].copy()))) for op in ("IsNaN", "IsInf")]
    found += [case(f"{op} odd numbers given", Fed((odd, odd[:, ::-1].copy())), truth=True) for op in ("IsNaN", "IsInf")]
    return [
        *found,
        case("GatherElements below 0", x(1, 32), below, axis=1),
        case("Gather below 0", x(1, 12, 16), fed([-1, 3, -7, 0]), axis=1),
        case("ScatterElements below 0", x(1, 32), below, x(1, 4, seed=1), axis=1),
        case("ScatterND below 0", x(1, 6, 16), fed([[0, -1]]), x(1, 16, seed=1)),
        case("OneHot below 0", fed([[-1, 3, -7, 0]]), c(8, INT), c([0.0, 1.0])),
        case("LpNormalization rows of 0", zeros, axis=2),
        case("LpNormalization rows of 0 4d", Fed((np.zeros(MAP, np.float32), x(*MAP).samples[1])), axis=1),
        case("Softmax large", x(1, 32, low=-900, high=900)),
        case("Mod float negative", x(*MAP, low=-9, high=9, seed=5), c([-2.5]), fmod=1),
        case("Mod int64 negative", x(1, 32, low=-99, high=99, dtype=INT), i(7)),
        case("Div int64 negative", x(1, 32, low=-99, high=99, dtype=INT), i(7)),
        case("Div int32 negative", x(1, 32, low=-99, high=99, dtype=np.int32), c([7], np.int32)),
    ]


def rare() -> list[Case]:
    """Operators that no other case has."""
    whole = x(1, 32, low=0, high=99, dtype=np.int32)
    bytes_ = x(4, 8, low=0, high=9, dtype=np.uint8)
    found = [case(op, whole, c([12], np.int32)) for op in ("BitwiseOr", "BitwiseXor")]
    return [
        *found,
        case("BitwiseNot", whole),
        case("CastLike", x(*MAP), c([1], np.int32)),
        case("CenterCropPad", x(1, 8, 16), i(8, 8), axes=[1, 2]),
        case("DFT", x(1, 16, 1), None, None, opsets=range(20, 21)),
        case("DFT 17", x(1, 16, 1), opsets=range(17, 20)),
        case("MatMulInteger", bytes_, c(np.ones((8, 4)), np.uint8)),
        case("ConvInteger", x(1, 2, 8, 8, low=0, high=9, dtype=np.uint8), c(np.ones((2, 2, 3, 3)), np.uint8)),
        case("QLinearMatMul", bytes_, c(0.1), c(3, np.uint8), c(np.ones((8, 4)), np.uint8), c(0.1), c(3, np.uint8),
             c(0.1), c(3, np.uint8)),
        case("QLinearConv", x(1, 2, 8, 8, low=0, high=9, dtype=np.uint8), c(0.1), c(3, np.uint8),
             c(np.ones((2, 2, 3, 3)), np.uint8), c(0.1), c(3, np.uint8), c(0.1), c(3, np.uint8)),
        case("NegativeLogLikelihoodLoss", x(3, 5), x(3, low=0, high=5, dtype=INT, seed=1)),
        case("SoftmaxCrossEntropyLoss", x(3, 5), x(3, low=0, high=5, dtype=INT, seed=1)),
        case("Multinomial", x(1, 5), sample_size=3, seed=1.0),
        case("RandomNormalLike", x(1, 8), seed=1.0),
        case("LpNormalization 3d", x(2, 3, 4), axis=1),
        case("LpNormalization p1 3d", x(2, 3, 4), axis=1, p=1),
        case("LpPool 1d", x(1, 8, 32), kernel_shape=[2]),
        case("OneHot not last", x(1, 6, low=0, high=8, dtype=INT), c(8, INT), c([0.0, 1.0]), axis=1),
        case("Det 2d", x(4, 4)),
        case("Squeeze none named", x(1, 8, 1, 4)),
        case("ReduceSum nothing", x(*MAP), Axes("axes", (), 13), noop_with_empty_axes=1, opsets=range(13, 21)),
        case("MeanVarianceNormalization axes", x(*MAP), axes=[2, 3]),
        case("GlobalLpPool 3d", x(1, 8, 16)),
        case("RoiAlign two samples", x(1, 4, 12, 12), c([[0, 0, 8, 8], [2, 2, 9, 9]]), i(0, 0), output_height=2,
             output_width=2, sampling_ratio=2),
        case("RoiAlign largest", x(1, 4, 12, 12), c([[0, 0, 8, 8], [2, 2, 9, 9]]), i(0, 0), output_height=2,
             output_width=2, sampling_ratio=2, mode="max"),
        case("RoiAlign outward", x(1, 4, 12, 12), c([[0, 0, 8, 8], [2, 2, 9, 9]]), i(0, 0), output_height=2,
             output_width=2, sampling_ratio=2, coordinate_transformation_mode="output_half_pixel",
             opsets=range(16, 21)),
        case("Shrink lambd", x(*MAP), lambd=0.7, bias=0.2),
    ]  # fmt: skip
