"""Replacing operators that a compiler lacks by those that it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnx import ModelProto

from oakmill.errors import UnsupportedModel
from oakmill.graph import dense, elementary, formulas, logic, recurrent, scattering, trigonometry
from oakmill.graph.rewriting import CannotRewriteError, Rewrite, Scope, rewrite
from oakmill.graph.skeleton import all_graphs, copy_of, infer_shapes

DECOMPOSITIONS: Mapping[str, Rewrite] = {
    **formulas.FORMULAS,
    **scattering.SCATTERING,
    **trigonometry.POLYNOMIALS,
    "Affine": elementary.affine,
    "Crop": elementary.crop,
    "Cast": logic.cast_to_truth,
    "Clip": elementary.clip,
    "CumSum": elementary.cumulative_sum,
    "DequantizeLinear": elementary.dequantize,
    "Equal": logic.comparison,
    "GRU": recurrent.gru,
    "Gemm": dense.gemm,
    "Gelu": elementary.gelu,
    "Greater": logic.comparison,
    "GreaterOrEqual": logic.comparison,
    "GroupNormalization": elementary.group_normalization,
    "HardSigmoid": elementary.hard_sigmoid,
    "HardSwish": elementary.hard_swish,
    "ImageScaler": elementary.image_scaler,
    "LSTM": recurrent.lstm,
    "LayerNormalization": elementary.layer_normalization,
    "Less": logic.comparison,
    "LessOrEqual": logic.comparison,
    "MatMul": dense.matmul,
    "Mish": elementary.mish,
    "Not": logic.logical_not,
    "Or": logic.logical_or,
    "Pad": elementary.pad,
    "QuantizeLinear": elementary.quantize,
    "RMSNormalization": elementary.rms_normalization,
    "RNN": recurrent.rnn,
    "Resize": elementary.cubic_resize,
    "Selu": elementary.selu,
    "Sign": logic.sign,
    "Softmax": elementary.masked_softmax,
    "Swish": elementary.swish,
    "Trilu": elementary.triangle_mask,
    "Where": logic.choice,
    "Xor": logic.logical_xor,
}
"""What can be written otherwise. On the host each was seen to compute the same, and all but LSTM, which RVC2 has, to
compile for RVC2.

IsNaN, dilated MaxPool and 3-D convolution, which RVC2 lacks too, are not here: no exact form is known, or none was
needed. GridSample and ScatterND must have constant grids and indices.
"""


def decompose(model: ModelProto, ops: Collection[str]) -> ModelProto:
    """Write all nodes of the operators `ops`, keys of `DECOMPOSITIONS`, in elementary ones; a copy, if there are any.

    Pad is only replaced where it crops or has not 3 or 4 axes, Resize where it is cubic, comparisons, Where, Clip and
    Cast where they are of whole numbers, have computed or crossed bounds, or are to truth values, MatMul and Gemm where
    constant weights take many rows, Softmax where a Where takes other values in its place. Recurrent layers must have
    constant weights and a fixed sequence.

    Raises:
        UnsupportedModel: a node is of a kind that has no decomposition; the message names it.
    """
    table = {op: DECOMPOSITIONS[op] for op in ops}
    if not any(node.op_type in table for graph in all_graphs(model.graph) for node in graph.node):
        return model
    model = copy_of(model)
    try:
        rewrite(model, table, Scope(model))
    except CannotRewriteError as error:
        raise UnsupportedModel(
            f"A node cannot be written in operators that the compiler has: {error}.",
            subject=error.node,
            remedy="Replace this layer before exporting the model.",
        ) from error
    return infer_shapes(model)
