"""Takes out of biases what rounding weights adds to each channel on average (Nagel et al., 2019).

A rounded weight is off by up to half a step. Over hundreds of weights, and inputs that are seldom negative, this does
not cancel out: all of a channel is shifted, by as much as the inputs' means say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.rewriting import Scope, argument, attributes
from oakmill.graph.sensitivity import with_all_rounded
from oakmill.graph.skeleton import copy_of

Values = NDArray[np.float64]
_WEIGHTED = ("Conv", "Gemm")


def means(model: ModelProto, samples: Iterable[Mapping[str, NDArray[np.generic]]]) -> dict[str, Values]:
    """The mean of each channel, [C], of all that convolutions and Gemms with constant weights read.

    Raises:
        PreparationFailed: the model cannot be run.
    """
    made = copy_of(model)
    probes = _probed(made)
    seen: dict[str, list[Values]] = {name: [] for name in probes}
    session = equality.Session(made)
    for sample in samples:
        outputs = session.run(sample)
        for name, probe in probes.items():
            channels = outputs[probe].astype(np.float64)
            seen[name].append(channels.reshape(channels.shape[:2]).mean(0))
    return {name: np.mean(each, axis=0) for name, each in seen.items() if each}


def corrected(
    model: ModelProto, exact: ModelProto, inputs: Mapping[str, Values], *, per_channel: bool = True
) -> tuple[ModelProto, int]:
    """A copy with other biases, and how many there are.

    Args:
        model: the graph that is to be quantized; its weights may be learned.
        exact: the same with the weights as they were.
        inputs: what `means` gave.
        per_channel: whether each output channel's weights have a scale of their own.
    """
    made = copy_of(model)
    scope = Scope(made)
    wanted = {item.name: item for item in exact.graph.initializer}
    rounded = {item.name: item for item in with_all_rounded(model, {}, {}, per_channel=per_channel).graph.initializer}
    count = 0
    for node in _layers(made):
        weight = node.input[1]
        if node.input[0] in inputs and weight in wanted and weight in rounded:
            error = _plain(rounded[weight]) - _plain(wanted[weight])
            if (shift := _shift(node, error, inputs[node.input[0]])).any():
                _subtract(node, shift, scope)
                count += 1
    return made, count


def _layers(model: ModelProto) -> list[NodeProto]:
    constants = {item.name for item in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type in _WEIGHTED
        and node.input[1] in constants
        and (not argument(node, 2) or node.input[2] in constants)
        and not attributes(node).get("transA")
    ]


def _probed(model: ModelProto) -> dict[str, str]:
    """Have a graph give the means of what its layers read, over all but images and channels; in place.

    The outputs that give them, by the tensors' names.
    """
    scope = Scope(model)
    probes: dict[str, str] = {}
    for node in _layers(model):
        name = node.input[0]
        if name not in probes:
            probes[name] = scope.fresh(f"{name}/mean")
            kind = "Identity" if node.op_type == "Gemm" else "GlobalAveragePool"
            model.graph.node.append(helper.make_node(kind, [name], [probes[name]]))
            model.graph.output.append(helper.make_tensor_value_info(probes[name], TensorProto.FLOAT, None))
    return probes


def _plain(tensor: TensorProto) -> Values:
    found: Values = numpy_helper.to_array(tensor).astype(np.float64)
    return found


def _shift(node: NodeProto, error: Values, mean: Values) -> Values:
    """What the error of weights adds to each output channel, [C]."""
    known = attributes(node)
    if node.op_type == "Gemm":
        found: Values = float(known.get("alpha", 1.0)) * (error if known.get("transB") else error.T) @ mean
        return found
    groups = int(known.get("group", 1))
    summed = error.reshape(groups, error.shape[0] // groups, error.shape[1], -1).sum(-1)
    shift: Values = np.einsum("goi,gi->go", summed, mean.reshape(groups, -1)).ravel()
    return shift


def _subtract(node: NodeProto, shift: Values, scope: Scope) -> None:
    """From the bias, or from none; a Gemm's may count by a factor."""
    factor = float(attributes(node).get("beta", 1.0)) if node.op_type == "Gemm" else 1.0
    before = scope.constant(node.input[2]).astype(np.float64) if argument(node, 2) else np.zeros(len(shift))
    kind = scope.constant(node.input[1]).dtype
    name = scope.add_constant((before - shift / factor).astype(kind), f"{node.output[0]}/bias")
    del node.input[2:]
    node.input.append(name)
