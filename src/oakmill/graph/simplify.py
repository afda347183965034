"""Folding what is constant and removing what is redundant, by onnxslim; large weights may be left out of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from onnx import ModelProto, ValueInfoProto

from oakmill.errors import PreparationFailed
from oakmill.graph.skeleton import LARGE, all_graphs, infer_shapes, skeleton, source_inputs
from oakmill.processes.deadline import within

SECONDS = 600
"""For the simplifier: 2,000 times what it took on any model that it was chosen by; a model converts without it too."""


def simplify(model: ModelProto) -> ModelProto:
    """A new, simpler model with the same inputs and outputs; `model` keeps its weights, but should not be used on.

    onnxslim was chosen over onnxsim: both took under 0.3 s on every model tried but for their import (0.4 s), it
    left 2 to 13 nodes fewer, and being Python, it fails with an exception where native code can end the process.
    Whether the result computes the same is for `equality` to prove.

    Raises:
        PreparationFailed: the simplifier failed, was not done in time, or lost an output.
    """
    import onnxslim

    inputs = source_inputs(model)
    outputs = list(model.graph.output)
    try:
        with within(SECONDS, "simplifying the model"):
            simple = onnxslim.slim(model)
    except Exception as error:
        raise _failed(f"{type(error).__name__}: {error}") from error
    if not isinstance(simple, ModelProto):
        raise _failed("no model came back")
    _restore_inputs(simple, inputs)
    _check_outputs(simple, outputs)
    return infer_shapes(simple)


def around_weights(model: ModelProto, simplifier: Callable[[ModelProto], ModelProto]) -> ModelProto:
    """As `simplifier`, for a model whose weights stay in files: a copy, with all weights of some size as they were.

    To the simplifier they are inputs. So it folds shapes and removes what is redundant, but joins no weights.

    Raises: as the simplifier.
    """
    simple = simplifier(skeleton(model))
    kept = {tensor.name for tensor in simple.graph.initializer}
    used = {name for graph in all_graphs(simple.graph) for node in graph.node for name in node.input}
    used.update(value.name for value in simple.graph.output)
    for tensor in model.graph.initializer:
        if tensor.name in used and tensor.name not in kept and math.prod(tensor.dims) >= LARGE:
            simple.graph.initializer.append(tensor)
    inputs = source_inputs(model)
    del simple.graph.input[:]
    simple.graph.input.extend(inputs)
    return infer_shapes(simple)


def _restore_inputs(simple: ModelProto, inputs: Sequence[ValueInfoProto]) -> None:
    """Put the inputs back as they were: the simplifier drops those that nothing uses."""
    del simple.graph.input[:]
    simple.graph.input.extend(inputs)


def _check_outputs(simple: ModelProto, outputs: Sequence[ValueInfoProto]) -> None:
    found = {value.name: value for value in simple.graph.output}
    lost = [value.name for value in outputs if value.name not in found]
    if lost:
        raise _failed(f"output {lost[0]!r} was lost")
    ordered = [found[value.name] for value in outputs]
    del simple.graph.output[:]
    simple.graph.output.extend(ordered)


def _failed(reason: str) -> PreparationFailed:
    return PreparationFailed(
        f"The model could not be simplified: {reason}",
        remedy="Convert it without that: --disable-onnx-simplification",
    )
