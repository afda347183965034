"""Writes a float graph as a quantized one: QuantizeLinear and DequantizeLinear around every node, by measured ranges.

onnxruntime's own writer places them; what is ours are the ranges, the number formats, and the boundary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain, count
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import silu, wide_weights
from oakmill.graph.boundary import fold_quantizers
from oakmill.graph.encodings import activations
from oakmill.graph.folding import constants_as_initializers
from oakmill.graph.rewriting import Scope
from oakmill.graph.skeleton import copy_of, in_order, infer_shapes, replace_nodes
from oakmill.model.pruning import drop_unread, reads
from oakmill.processes.deadline import within

Interval = tuple[float, float]

_NARROW = 8
"""Bits of activations that are not wide."""
_NORMALIZATIONS = {"BatchNormalization", "InstanceNormalization", "LayerNormalization", "PRelu"}

_WRITTEN = (
    "_scale", "_zero_point", "_quantized", "_QuantizeLinear_Input", "_QuantizeLinear_Output",
    "_DequantizeLinear_Output",
)  # fmt: skip
"""Ends of the names that onnxruntime's writer makes of a tensor's."""


@dataclass(frozen=True)
class Encoding:
    """The number format of one tensor: real = scale (stored - zero_point); several scales are one for each channel.

    Without scales the measured range decides them.
    """

    bits: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int | None = None
    signed: bool = False


@dataclass(frozen=True)
class Plan:
    """How a graph is quantized: bits for all, and the encodings of single tensors that differ."""

    activation_bits: int = 8
    weight_bits: int = 8
    per_channel: bool = True
    encodings: Mapping[str, Encoding] = field(default_factory=dict)


SECONDS = 1800
"""For onnxruntime's writer: as long as one run of a vendor's tool may take by default."""
PIXELS = Encoding(8, (1.0,), (0,))
"""Pixels as cameras give them: 0 to 255, and as the device's firmware asks for them."""


def quantize(model: ModelProto, ranges: Mapping[str, Interval], plan: Plan, image_inputs: Sequence[str]) -> ModelProto:
    """The quantized graph: `image_inputs` come in as uint8 of scale 1, and outputs go out as they are computed.

    Args:
        model: the float graph, with fixed shapes and an opset of 13 or above.
        ranges: lowest and highest value of every activation.
        plan: the number formats.
        image_inputs: inputs of pixels.

    Raises:
        PreparationFailed: the writer found no way; the message has its words.
    """
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import TensorData, TensorsData

    model = _named(infer_shapes(constants_as_initializers(copy_of(model))))
    encodings = {**activations(model).spread(plan.encodings), **dict.fromkeys(image_inputs, PIXELS)}
    gates = silu.keep_apart(model, partial(_is_wide, plan, encodings))
    ranges = {**ranges, **{name: ranges[x] for name, x in gates.items()}}
    encodings |= {name: encodings[x] for name, x in gates.items() if x in encodings}
    others = _apart(model)
    encodings = {others.get(name, name): item for name, item in encodings.items()}
    floats = {others.get(name, name): [np.array(value, np.float32) for value in pair] for name, pair in ranges.items()}
    data = TensorsData(CalibrationMethod.MinMax, {n: TensorData(lowest=a, highest=b) for n, (a, b) in floats.items()})
    with _writer_errors(), within(SECONDS, "writing the quantized graph"):
        config = _config(model, plan, encodings)
        writer = _writer()(
            model, config.per_channel, False, config.weight_type, config.activation_type, data, [], [],
            config.op_types_to_quantize, {**config.extra_options, "ForceQuantizeNoInputCheck": True},
        )  # fmt: skip
        written = writer.quantize_model()
    return fold_quantizers(_reachable(written), image_inputs)


def _is_wide(plan: Plan, encodings: Mapping[str, Encoding], name: str) -> bool:
    """Whether an activation has more than 8 bits."""
    return encodings.get(name, Encoding(plan.activation_bits)).bits > _NARROW


@lru_cache
def _writer() -> Any:
    """onnxruntime's writer, but for the loop in which it waits for ever for ranges that no tensor will give.

    It looks through all nodes for each tensor; here by the names of a node's inputs at once, in a fifth of the time.
    """
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    class Writer(QDQQuantizer):  # type: ignore[misc]
        def __init__(self, model: ModelProto, *more: Any) -> None:
            super().__init__(model, *more)
            self.model.replace_input_of_all_nodes = self._replace_input

        def _replace_input(self, old: str, new: str) -> None:
            for node in self.model.model.graph.node:
                if old in node.input:
                    ONNXModel.replace_node_input(node, old, new)

        def _quantize_sharing_param_tensors(self) -> None:
            givers = {name: info.quant_para_provider for name, info in self.tensors_to_quantize.items()}
            known = set(self.quantized_value_map)
            while ready := {name for name, giver in givers.items() if giver and giver.input_name in known}:
                known |= ready
                givers = {name: giver for name, giver in givers.items() if name not in ready}
            if givers:
                name, giver = next(iter(givers.items()))
                raise ValueError(f"{name!r} has the range of {giver and giver.input_name!r}, which is not quantized")
            super()._quantize_sharing_param_tensors()

    return Writer


def _apart(model: ModelProto) -> dict[str, str]:
    """Rename inner tensors whose names the writer would give to what it makes of others; in place. New names by old.

    It calls the scale of `bn` `bn_scale`, as many exporters do a norm's own, and takes the one for the other.
    """
    scope = Scope(model)
    boundary = {value.name for value in (*model.graph.input, *model.graph.output)}
    boundary |= {name for node in model.graph.node for name in (*reads(node),) if name not in node.input}
    names = {name for node in model.graph.node for name in (*node.input, *node.output) if name}
    made = {name + suffix for name in names for suffix in _WRITTEN}
    found = {name: scope.fresh(f"{name}/own") for name in sorted(names & made - boundary)}
    for node in model.graph.node:
        node.input[:] = [found.get(name, name) for name in node.input]
        node.output[:] = [found.get(name, name) for name in node.output]
    for item in (*model.graph.initializer, *model.graph.value_info):
        item.name = found.get(item.name, item.name)
    return found


def _named(model: ModelProto) -> ModelProto:
    """Name every node, which onnxruntime's writer asks for where single tensors have formats of their own; in place."""
    taken = {node.name for node in model.graph.node}
    for index, node in enumerate(model.graph.node):
        if not node.name:
            wanted = next(filter(None, node.output), node.op_type)
            numbered = (f"{wanted}/{number}" for number in count(index))
            node.name = next(name for name in chain([wanted], numbered) if name not in taken)
            taken.add(node.name)
    return model


def _config(model: ModelProto, plan: Plan, encodings: Mapping[str, Encoding]) -> Any:
    """onnxruntime's configuration for Qualcomm's processor, which knows what it asks of single operators."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    class Nothing(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> None:
            return None

    overrides = {
        **_constants_of_norms(model, plan),
        **_wide_weights(model, plan),
        **{name: _override(item) for name, item in encodings.items()},
    }
    return get_qnn_qdq_config(
        model,
        Nothing(),
        activation_type=QuantType.QUInt16 if plan.activation_bits == 16 else QuantType.QUInt8,
        weight_type=_weight_type(plan),
        per_channel=plan.per_channel,
        init_overrides=overrides or None,
        keep_removable_activations=_clamps_count(model, encodings),
    )


def _clamps_count(model: ModelProto, encodings: Mapping[str, Encoding]) -> bool:
    """Whether a Relu or Clip clamps what the number format of its output would let pass; the writer drops the others.

    Formats always hold zero: a Clip from 1 to 3 would let values below 1 pass.
    """
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        given = encodings.get(node.output[0], Encoding(8)) if node.output else Encoding(8)
        if node.op_type == "Relu" and any(given.zero_points):
            return True
        if node.op_type == "Clip" and (given.scales or not _holds_zero(node.input[1:], constants)):
            return True
    return False


def _holds_zero(bounds: Sequence[str], constants: Mapping[str, TensorProto]) -> bool:
    """Whether zero lies between a Clip's bounds, for all that is known of them."""
    for sign, name in zip((1, -1), bounds, strict=False):
        if name and (name not in constants or sign * _number(constants[name]) > 0):
            return False
    return True


def _number(tensor: TensorProto) -> float:
    """The one number of a constant, of shape [] or, as converters from Keras write a Clip's bounds, of [1]."""
    return float(numpy_helper.to_array(tensor).item())


def _weight_type(plan: Plan) -> Any:
    from onnxruntime.quantization import QuantType

    if plan.weight_bits == 16:
        return QuantType.QInt16
    return QuantType.QInt8 if plan.per_channel else QuantType.QUInt8


def _override(item: Encoding) -> list[dict[str, Any]]:
    from onnxruntime.quantization import QuantType

    kind = {
        (4, True): QuantType.QInt4,
        (8, False): QuantType.QUInt8,
        (8, True): QuantType.QInt8,
        (16, False): QuantType.QUInt16,
        (16, True): QuantType.QInt16,
    }[item.bits, item.signed]
    axis = {} if item.axis is None else {"axis": item.axis}
    if not item.scales:
        return [{"quant_type": kind, **axis}]
    dtype = np.dtype(f"{'' if item.signed else 'u'}int{max(item.bits, 8)}")
    return [
        {"quant_type": kind, **axis, "scale": np.array(scale, np.float32), "zero_point": np.array(zero, dtype)}
        for scale, zero in zip(item.scales, item.zero_points, strict=True)
    ]


def _constants_of_norms(model: ModelProto, plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The scale of a normalization, and the slope of a PRelu, as uint8: the processor takes no signed ones."""
    constants = {item.name for item in model.graph.initializer if item.data_type == TensorProto.FLOAT}
    names = (node.input[1] for node in model.graph.node if node.op_type in _NORMALIZATIONS)
    return {name: _override(Encoding(8)) for name in names if name in constants and plan.weight_bits == 8}


def _wide_weights(model: ModelProto, plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The formats of weights, where they are to have 16 bits, by what the processor makes of these."""
    found = wide_weights.scales(model, per_channel=plan.per_channel) if plan.weight_bits > _NARROW else ()
    return {
        name: _override(Encoding(bits, given, (0,) * len(given), axis, signed=True))
        for name, bits, given, axis in found
    }


@contextmanager
def _writer_errors() -> Iterator[None]:
    """Turn what the writer raises into our error, and keep its advice to itself."""
    logger = logging.getLogger()
    before, logger.disabled = logger.disabled, True
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        AssertionError,
        RuntimeError,
        IndexError,
        OSError,
    ) as error:
        raise PreparationFailed(
            f"the graph cannot be quantized: {type(error).__name__}: {error}",
            remedy="convert with --target-precision FP16, which quantizes nothing",
        ) from error
    finally:
        logger.disabled = before


def _reachable(model: ModelProto) -> ModelProto:
    """The graph in an order that it can be computed in, without constants that nothing reads; in place."""
    ordered = in_order(model.graph.node)
    if len(ordered) < len(model.graph.node):
        raise PreparationFailed("the quantized graph has a circle")
    replace_nodes(model.graph, ordered)
    drop_unread(model.graph)
    return model
