"""Chooses the channels' scales from what calibration images show, and rewrites the graph by them: exact in float.

Per-tensor activations give all channels one step; a channel that is a hundredth of the largest gets two of 255 steps.
Divided by its scale, it gets as many as the largest. Cross-layer equalization (Nagel et al., 2019) does so through
Relu; the gates' own multiplication carries it through x * sigmoid(x).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from oakmill.graph.equalization.gates import FLOOR, SATURATED
from oakmill.graph.equalization.variables import ONE, Channels, Seen
from oakmill.graph.rewriting import Scope, argument, attributes
from oakmill.graph.skeleton import copy_of, replace_nodes
from oakmill.model.pruning import drop_unread

Values = NDArray[np.float64]
Extremes = Mapping[str, tuple[Values, Values]]
"""The lowest and highest value of each channel, by tensor."""
Interval = tuple[float, float]

STEPS = 255
"""Scales are so many-ths: the constants that undo them are exact in 8 bits."""


@dataclass(frozen=True)
class Equalized:
    """The graph with scaled channels, and the widest intervals that single tensors need; what lies outside is cut.

    `scales` are those of the variables; `unscaled` says of which tensor each that was added has the values.
    """

    model: ModelProto
    limits: Mapping[str, Interval]
    sites: int
    scales: Values
    unscaled: Mapping[str, str]


def choose(found: Channels, extremes: Extremes, smallest: float) -> Values:
    """A scale for each variable, of at most 1, so that no tensor's range grows on the images that were measured.

    Args:
        found: the channels.
        extremes: of the tensors that `channels.measured` names, over all images that calibrate: what a channel shows on
            one of them alone would widen the whole tensor's range by its scale.
        smallest: the bound of scales; what is smaller takes the weights' own 8 bits away.
    """
    useful = {name: _useful(item, extremes) for name, item in found.seen.items() if item.tensor in extremes}
    largest: dict[str, float] = {}
    for name, values in useful.items():
        root = found.range_of(name)
        largest[root] = max(largest.get(root, 0.0), float(values.max(initial=0.0)))
    scales = np.zeros(found.variables)
    for name, values in useful.items():
        if (peak := largest[found.range_of(name)]) > 0:
            np.maximum.at(scales, found.tensors[name].ids, values / peak)
    scales = np.clip(np.ceil(scales * STEPS - 1e-9), np.ceil(smallest * STEPS), STEPS) / STEPS
    scales[ONE] = 1.0
    return scales


def _useful(item: Seen, extremes: Extremes) -> Values:
    """How far each channel reaches from zero, by what counts of it."""
    low, high = extremes[item.tensor]
    if item.part == "positive":
        return np.maximum(high, 0)
    if item.part == "gated":
        low = np.maximum(low, FLOOR)
    return np.maximum(np.abs(low), np.abs(high))


def apply(model: ModelProto, found: Channels, scales: Values, extremes: Extremes) -> Equalized:
    """The graph whose convolutions give scaled channels and take them back; a copy."""
    model = copy_of(model)
    scope = Scope(model)
    by_output = {node.output[0]: node for node in model.graph.node if node.output}
    sites = 0
    for output in found.makers:
        if np.any((factors := _of(found, scales, output)) != 1):
            sites += 1
            _divide(by_output[output], factors, scope)
    for output in found.takers:
        node = by_output[output]
        if np.any((factors := _of(found, scales, node.input[0])) != 1):
            _multiply(node, factors, scope)
    limits, inserted, unscaled = _undo(found, scales, extremes, by_output, scope)
    nodes = [part for node in model.graph.node for part in (*inserted.get(node.output[0], ()), node)]
    replace_nodes(model.graph, nodes)
    drop_unread(model.graph)
    del model.graph.value_info[:]
    return Equalized(model, limits, sites, scales, unscaled)


def _of(found: Channels, scales: Values, name: str) -> Values:
    factors: Values = scales[found.tensors[name].ids]
    return factors


def _divide(node: NodeProto, factors: Values, scope: Scope) -> None:
    """The weights' output channels, and the bias."""
    weight = scope.constant(node.input[1])
    _replace(node, 1, weight / _along(factors, weight.shape, _output_axis(node), node), scope)
    if bias := argument(node, 2):
        _replace(node, 2, scope.constant(bias) / factors, scope)


def _multiply(node: NodeProto, factors: Values, scope: Scope) -> None:
    """The weights' input channels; those of a grouped convolution belong to its groups, one after the other."""
    weight = scope.constant(node.input[1])
    if node.op_type == "Conv":
        groups = int(attributes(node).get("group", 1))
        each = np.repeat(factors.reshape(groups, -1), weight.shape[0] // groups, axis=0)
        _replace(node, 1, weight * each.reshape(*weight.shape[:2], *[1] * (weight.ndim - 2)), scope)
        return
    axis = 1 if node.op_type == "Gemm" and attributes(node).get("transB") else 0
    _replace(node, 1, weight * _broadcast(factors, weight.ndim, axis), scope)


def _output_axis(node: NodeProto) -> int:
    if node.op_type == "Gemm":
        return 0 if attributes(node).get("transB") else 1
    return 0 if node.op_type == "Conv" else 1


def _along(factors: Values, shape: tuple[int, ...], axis: int, node: NodeProto) -> Values:
    """The factors of output channels, in the form of the weights; grouped ConvTransposes hold each group in turn."""
    groups = int(attributes(node).get("group", 1))
    if node.op_type != "ConvTranspose" or groups == 1:
        return _broadcast(factors, len(shape), axis)
    rows = np.repeat(factors.reshape(groups, -1), shape[0] // groups, axis=0)
    return rows.reshape(*shape[:2], *[1] * (len(shape) - 2))


def _broadcast(factors: Values, rank: int, axis: int) -> Values:
    return factors.reshape([-1 if place == axis else 1 for place in range(rank)])


def _replace(node: NodeProto, place: int, value: Values, scope: Scope) -> None:
    kind = scope.constant(node.input[place]).dtype
    node.input[place] = scope.set_constant(node.input[place], value.astype(kind), copy=True)


def _undo(
    found: Channels, scales: Values, extremes: Extremes, by_output: Mapping[str, NodeProto], scope: Scope
) -> tuple[dict[str, Interval], dict[str, list[NodeProto]], dict[str, str]]:
    """Give gates their values unscaled; the intervals that count, the nodes by the output that they precede, and of
    which tensor each has the values.
    """
    limits: dict[str, Interval] = {}
    inserted: dict[str, list[NodeProto]] = {}
    values: dict[str, str] = {}
    for output, value in found.gates.items():
        factors = _of(found, scales, value)
        item = found.seen.get(value)
        if np.all(factors == 1):
            continue
        if item is not None and item.part == "gated" and item.tensor == value and value in extremes:
            limits[value] = (float((np.maximum(extremes[value][0], FLOOR) / factors).min()), np.inf)
        rank = len(scope.shape(value))
        constant = scope.add_constant(
            _broadcast(factors, rank, found.tensors[value].axis).astype(scope.dtype(value)), f"{value}/scales"
        )
        unscaled = scope.fresh(f"{value}/unscaled")
        values[unscaled] = value
        node = by_output[output]
        inserted[output] = [helper.make_node("Mul", [value, constant], [unscaled], name=unscaled)]
        node.input[:] = [unscaled if name == value else name for name in node.input]
        if output in found.closing:
            limits[unscaled] = (-SATURATED, SATURATED)
    return limits, inserted, values
