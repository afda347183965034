"""Operators that onnxruntime's optimiser writes in the place of ONNX's own, and no exporter does."""

from __future__ import annotations

from onnx import NodeProto

_OWN_LAYOUT = "com.microsoft.nchwc"
"""All operators of this domain are on tensors in the order of one processor's vectors."""
_DOMAIN = "com.microsoft"
_FUSED = {
    "Attention", "BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu",
    "EmbedLayerNormalization", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "FusedMatMulActivation", "Gelu",
    "GroupNorm", "MultiHeadAttention", "NhwcConv", "NhwcFusedConv", "NhwcMaxPool", "QAttention", "QuickGelu",
    "SkipGroupNorm", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "TransposeMatMul",
}  # fmt: skip
"""Of onnxruntime's ContribOperators.md, those that its graph transformers and its tool for transformers make."""

REMEDY = "give the model as it was exported, before onnxruntime optimised it"


def is_fused(node: NodeProto) -> bool:
    """Whether onnxruntime's optimiser made a node."""
    return node.domain == _OWN_LAYOUT or (node.domain == _DOMAIN and node.op_type in _FUSED)
