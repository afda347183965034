"""Looks at sources that are not ONNX: their operations by name alone, against what was measured of ONNX's operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oakmill.errors import OakmillError
from oakmill.findings import Finding, Severity
from oakmill.model.openvino_ir import load_ir
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.tflite import describe_tflite
from oakmill.preflight.findings import Code, of_node
from oakmill.preflight.tables import Table
from oakmill.settings import Settings

_NOTHING = """
    Parameter Result Constant Const ReadValue Assign ShapeOf Shape Rank SHAPE RANK DEQUANTIZE QUANTIZE FAKE_QUANT
    FakeQuantize ConvertLike
"""
_SAME = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh Ceil Concat CumSum Cos Cosh DepthToSpace Einsum Elu Equal Erf Exp
    Floor GRU Gather GatherElements GatherND Gelu Greater HardSigmoid If LRN LSTM Less Log LogSoftmax Loop MatMul
    MaxPool Mish Mod NonMaxSuppression NonZero OneHot PRelu Pad ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum Reshape ReverseSequence Round Selu Sigmoid Sign Sin Sinh SpaceToDepth Split Sqrt Squeeze Sub
    Tan Tanh Tile TopK Transpose Unsqueeze
"""
_OPENVINO = """
    Convolution:Conv GroupConvolution:Conv ConvolutionBackpropData:ConvTranspose
    GroupConvolutionBackpropData:ConvTranspose DeformableConvolution:DeformConv Subtract:Sub Multiply:Mul Divide:Div
    Maximum:Max Minimum:Min Power:Pow AvgPool:AveragePool ReLU:Relu Clamp:Clip PReLU:PRelu HSwish:HardSwish
    HSigmoid:HardSigmoid Swish:Sigmoid SoftPlus:Softplus SoftSign:Softsign SoftMax:Softmax VariadicSplit:Split
    StridedSlice:Slice Slice:Slice Interpolate:Resize ScatterNDUpdate:ScatterND ScatterUpdate:ScatterND
    ScatterElementsUpdate:ScatterElements Broadcast:Expand Convert:Cast Negative:Neg Ceiling:Ceil
    NormalizeL2:LpNormalization MVN:MeanVarianceNormalization BatchNormInference:BatchNormalization
    GreaterEqual:GreaterOrEqual LessEqual:LessOrEqual LogicalAnd:And LogicalOr:Or LogicalNot:Not LogicalXor:Xor
    Select:Where LSTMSequence:LSTM GRUSequence:GRU RNNSequence:RNN LSTMCell:LSTM GRUCell:GRU ROIAlign:RoiAlign
    FloorMod:Mod GridSample:GridSample ReduceLogicalAnd:ReduceMin ReduceLogicalOr:ReduceMax
"""
_TFLITE = """
    CONV_2D:Conv DEPTHWISE_CONV_2D:Conv TRANSPOSE_CONV:ConvTranspose CONV_3D:Conv FULLY_CONNECTED:MatMul
    BATCH_MATMUL:MatMul ADD:Add ADD_N:Add SUB:Sub MUL:Mul SQUARE:Mul SQUARED_DIFFERENCE:Mul DIV:Div FLOOR_DIV:Floor
    FLOOR_MOD:Mod MAXIMUM:Max MINIMUM:Min POW:Pow AVERAGE_POOL_2D:AveragePool MAX_POOL_2D:MaxPool MEAN:ReduceMean
    SUM:ReduceSum REDUCE_MAX:ReduceMax REDUCE_MIN:ReduceMin REDUCE_PROD:ReduceProd RELU:Relu RELU6:Clip
    RELU_N1_TO_1:Clip RELU_0_TO_1:Clip LEAKY_RELU:LeakyRelu PRELU:PRelu ELU:Elu LOGISTIC:Sigmoid TANH:Tanh
    HARD_SWISH:HardSwish GELU:Erf SOFTMAX:Softmax LOG_SOFTMAX:LogSoftmax RESHAPE:Reshape SQUEEZE:Squeeze
    EXPAND_DIMS:Unsqueeze TRANSPOSE:Transpose CONCATENATION:Concat PACK:Concat UNPACK:Split SPLIT:Split SPLIT_V:Split
    SLICE:Slice STRIDED_SLICE:Slice PAD:Pad PADV2:Pad MIRROR_PAD:Pad RESIZE_BILINEAR:Resize
    RESIZE_NEAREST_NEIGHBOR:Resize DEPTH_TO_SPACE:DepthToSpace SPACE_TO_DEPTH:SpaceToDepth GATHER:Gather
    GATHER_ND:GatherND SCATTER_ND:ScatterND TILE:Tile BROADCAST_TO:Expand CAST:Cast EXP:Exp LOG:Log SQRT:Sqrt
    RSQRT:Sqrt NEG:Neg ABS:Abs SIN:Sin COS:Cos FLOOR:Floor CEIL:Ceil ROUND:Round SIGN:Sign
    L2_NORMALIZATION:LpNormalization LOCAL_RESPONSE_NORMALIZATION:LRN ARG_MAX:ArgMax ARG_MIN:ArgMin TOPK_V2:TopK
    GREATER:Greater GREATER_EQUAL:GreaterOrEqual LESS:Less LESS_EQUAL:LessOrEqual EQUAL:Equal NOT_EQUAL:Equal
    LOGICAL_AND:And LOGICAL_OR:Or LOGICAL_NOT:Not SELECT:Where SELECT_V2:Where ONE_HOT:OneHot CUMSUM:CumSum
    UNIDIRECTIONAL_SEQUENCE_LSTM:LSTM BIDIRECTIONAL_SEQUENCE_LSTM:LSTM UNIDIRECTIONAL_SEQUENCE_RNN:RNN
    REVERSE_SEQUENCE:ReverseSequence NON_MAX_SUPPRESSION_V4:NonMaxSuppression NON_MAX_SUPPRESSION_V5:NonMaxSuppression
    WHERE:NonZero WHILE:Loop IF:If
"""

LIKE: Mapping[str, str] = {
    **dict.fromkeys(_NOTHING.split(), ""),
    **{name: name for name in _SAME.split()},
    **{own: like for own, _, like in (pair.partition(":") for pair in (_OPENVINO + _TFLITE).split())},
}
"""ONNX's operators by those of OpenVINO's opsets and TFLite's schema that are alike; empty where nothing is done.

Sources: https://docs.openvino.ai/2022.3/openvino_docs_ops_opset8.html, tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""


def operations_of(source: SourceModel, settings: Settings) -> dict[str, str]:
    """The first layer's name by operation, of an OpenVINO IR; of TFLite, empty names; of others, nothing.

    What cannot be read here is told by its conversion.
    """
    try:
        if source.format is SourceFormat.TFLITE:
            return dict.fromkeys(describe_tflite(source.graph, settings).operations, "")
        if source.format is SourceFormat.OPENVINO_IR:
            layers = ((layer.get("type", ""), layer.get("name", "")) for layer in load_ir(source).layers.values())
            return dict(reversed(list(layers)))
    except OakmillError:
        pass
    return {}


def findings(operations: Mapping[str, str], table: Table, mode: str, *, direct: bool) -> Iterator[Finding]:
    """What was measured of the operators that these are like.

    Args:
        operations: the first layer's name by operation.
        table: of the platform's toolchain.
        mode: of the table.
        direct: whether the compiler gets the very operation: what it never took is refused for certain then.
    """
    for name, layer in sorted(operations.items()):
        like = LIKE.get(name)
        outcomes = table.of_operator(like, mode) if like else []
        if like == "" or any(not item.is_bad for item in outcomes):
            continue
        if not outcomes:
            yield of_node(
                Code.UNCERTAIN_OP, Severity.WARNING, f"{name} was never tried with {table.toolchain}", layer, name,
                "try the conversion: its compiler decides",
            )  # fmt: skip
            continue
        yield of_node(
            Code.UNSUPPORTED_OP if direct else Code.UNCERTAIN_OP, Severity.ERROR if direct else Severity.WARNING,
            f"{name}: no form of ONNX's {like}, which is like it, converts: {outcomes[0].reason}", layer, name,
            "end the network before it, or replace it in the model",
        )  # fmt: skip
