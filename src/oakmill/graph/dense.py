"""Dense layers over many rows as convolutions of 1 x 1, which RVC2's compiler is quick with."""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto

from oakmill.graph.rewriting import Array, Emitter, argument, attributes

FEW_ROWS = 128
"""Up to so many rows a dense layer stays one: 196 of 192 numbers compiled in 2 s, 256 of 257 in 16 s, and 512 and more
(of 257, of 192, of 64) not within 45 s; as a convolution 16,384 of 64 took 1.3 s."""


def matmul(node: NodeProto, emit: Emitter) -> None:
    """[..., K] by constant weights [K, N]; others stay."""
    x, weights = node.input
    if emit.scope.is_constant(weights) and len(emit.scope.shape(weights)) == 2 and not emit.scope.is_constant(x):
        _convolve(x, emit.scope.constant(weights), None, node, emit)


def gemm(node: NodeProto, emit: Emitter) -> None:
    """[rows, K] by constant weights, with a constant bias by column or none; others stay."""
    given, x, bias = attributes(node), node.input[0], argument(node, 2)
    known = all(map(emit.scope.is_constant, filter(None, node.input[1:])))
    if not known or given.get("transA", 0) or emit.scope.is_constant(x):
        return
    weights = emit.scope.constant(node.input[1])
    weights = given.get("alpha", 1.0) * (weights.T if given.get("transB", 0) else weights)
    added = given.get("beta", 1.0) * emit.scope.constant(bias) if bias else None
    if added is not None and math.prod(added.shape[:-1]) != 1:
        return  # it differs by row
    _convolve(x, weights, added, node, emit)


def _convolve(x: str, weights: Array, bias: Array | None, node: NodeProto, emit: Emitter) -> None:
    """The rows stand along the width of an image whose channels they were."""
    sizes = emit.scope.fixed_shape(x)
    rows, (size, count) = math.prod(sizes[:-1]), weights.shape
    if len(sizes) < 2 or rows <= FEW_ROWS:
        return
    channels = emit("Transpose", emit("Reshape", x, [1, rows, size]), perm=[0, 2, 1])
    image = emit("Reshape", channels, [1, size, 1, rows])
    kernel = np.ascontiguousarray(weights.T).astype(np.float32).reshape(count, size, 1, 1)
    added = [] if bias is None else [np.broadcast_to(bias.reshape(-1), [count]).astype(np.float32)]
    made = emit("Reshape", emit("Conv", image, kernel, *added), [1, count, rows])
    emit("Reshape", emit("Transpose", made, perm=[0, 2, 1]), [*sizes[:-1], count], out=node.output[0])
