"""Gives a model outputs that tell what its tensors hold, without undoing what makes it fast."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from oakmill.errors import OakmillError, PreparationFailed

_CARRYING = (
    frozenset({"Add", "Sub", "Mul", "Div", "Sum", "Gemm", "MatMul", "Softmax", "ReduceMean", "ReduceSum"})
    | {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "HardSigmoid", "HardSwish", "Exp", "Erf"}
    | {"BatchNormalization", "LayerNormalization", "GlobalAveragePool", "Concat", "Split", "Identity", "Reshape"}
    | {"Flatten", "Squeeze", "Unsqueeze", "Transpose", "DepthToSpace", "SpaceToDepth"}
)
"""Operators of whose operands each NaN shows in the result, as onnxruntime computes it; MaxPool's, for one, may not."""


@dataclass(frozen=True)
class Probed:
    """A model and its outputs: whose smallest value is each tensor's lowest, whose largest its highest, and guards.

    `low` is None for a tensor whose lowest value is 0 by nature. All guards are finite if the guarded tensors are.
    """

    model: ModelProto
    low: tuple[str | None, ...]
    high: tuple[str, ...]
    guards: tuple[str, ...]


def probed(
    model: ModelProto, tensors: Sequence[str], guarded: Sequence[str], axes: Mapping[str, int] | None = None
) -> Probed:
    """A copy of a model that computes each tensor's extremes, which leaves the tensors where they lie.

    Of a tensor with an axis, the extremes are those of each position along it.

    As onnxruntime's minimum and maximum pass over a NaN, sums and means stand guard. onnxruntime keeps images in
    blocks of channels, and knows global poolings of these but no reductions; so what a Relu makes, whose lowest value
    needs no look, stays in blocks.
    """
    values = _values(model)
    copy = _without_outputs(model)
    blocked = _images_of_relu(model, values)
    unseen = _unguarded(model, guarded, values)
    sources = {name: _as_float32(copy, name, values) for name in dict.fromkeys([*tensors, *unseen])}

    blocked -= {name for name, axis in (axes or {}).items() if axis != 1}

    def reduced(name: str, reduction: str) -> str:
        kept = None if reduction == "ReduceSum" else (axes or {}).get(name)
        return _reduced(copy, reduction, sources[name], _others(values.get(name), kept))

    def probe(name: str, pooling: str, reduction: str) -> str:
        return _output(copy, pooling, name) if name in blocked else reduced(name, reduction)

    return Probed(
        copy,
        tuple(None if name in blocked else reduced(name, "ReduceMin") for name in tensors),
        tuple(probe(name, "GlobalMaxPool", "ReduceMax") for name in tensors),
        tuple(probe(name, "GlobalAveragePool", "ReduceSum") for name in unseen),
    )


def _others(value: ValueInfoProto | None, axis: int | None) -> list[int]:
    """The axes to reduce over, where one is kept; those before it stay as well where they are of one element."""
    if value is None or axis is None:
        return []
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    behind = list(range(axis + 1, len(sizes)))
    single = behind and all(size == 1 for size in sizes[:axis])
    return behind if single else [*range(axis), *behind]


def _reduced(model: ModelProto, reduction: str, source: str, axes: Sequence[int]) -> str:
    """Over some axes, or all; from opset 18 on they are an input."""
    name = _output(model, reduction, source, keepdims=0)
    node = model.graph.node[-1]
    if axes and next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx")) < 18:
        node.attribute.append(helper.make_attribute("axes", list(axes)))
    elif axes:
        node.input.append(f"{name}:axes")
        model.graph.initializer.append(helper.make_tensor(node.input[1], TensorProto.INT64, [len(axes)], list(axes)))
    return name


def exposed(model: ModelProto, tensors: Sequence[str]) -> tuple[ModelProto, tuple[str, ...]]:
    """A copy of the model whose outputs are the tensors themselves, in float32, and these outputs' names."""
    values = _values(model)
    copy = _without_outputs(model)
    made = _made(model)
    sources = [_as_float32(copy, name, values) for name in tensors]
    # Only what a node makes can be an output.
    names = tuple(_node(copy, "Identity", name) if name in tensors and name not in made else name for name in sources)
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return copy, names


def _without_outputs(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    return copy


class Network:
    """A model loaded into onnxruntime; several threads may run it at once.

    Raises:
        PreparationFailed: it cannot be loaded.
    """

    def __init__(self, model: ModelProto, *, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.use_deterministic_compute = True
        # Reduces each tensor when it is made; the default order keeps the tensors to the end, in twice the memory.
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            content = model.SerializeToString()
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except EncodeError as error:
            raise PreparationFailed("The model is over 2 GB, too large to be calibrated.") from error
        except _runtime_errors() as error:
            raise _translated(error, "loaded for calibration") from error

    def run(self, fetches: Sequence[str], feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        """Run once; the outputs asked for, in that order.

        Raises:
            PreparationFailed: the model cannot be run on this data.
        """
        try:
            return list(self._session.run(list(fetches), dict(feeds)))
        except _runtime_errors() as error:
            raise _translated(error, "run on a calibration sample") from error


def _values(model: ModelProto) -> dict[str, ValueInfoProto]:
    """What is known of each tensor's type and shape."""
    graph = model.graph
    # Where inference fails, float32 is supposed, which onnxruntime will deny.
    with contextlib.suppress(onnx.shape_inference.InferenceError, EncodeError, ValueError):
        graph = onnx.shape_inference.infer_shapes(model).graph
    return {value.name: value for value in [*graph.value_info, *graph.input, *graph.output]}


def _as_float32(model: ModelProto, name: str, values: Mapping[str, ValueInfoProto]) -> str:
    kind = values[name].type.tensor_type.elem_type if name in values else TensorProto.FLOAT
    return name if kind in (TensorProto.FLOAT, 0) else _node(model, "Cast", name, to=TensorProto.FLOAT)


def _node(model: ModelProto, operator: str, source: str, **attributes: int) -> str:
    name = f"oakmill:{operator}:{len(model.graph.node)}:{source}"
    node = helper.make_node(operator, [source], [name], name)
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    model.graph.node.append(node)
    return name


def _output(model: ModelProto, operator: str, source: str, **attributes: int) -> str:
    name = _node(model, operator, source, **attributes)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return name


def _unguarded(model: ModelProto, tensors: Sequence[str], values: Mapping[str, ValueInfoProto]) -> list[str]:
    """The tensors that need a guard: a NaN in any other shows in one that follows and has a guard.

    Guards stand at the model's outputs of floats, and wherever no operator surely carries a NaN on.
    """
    guards = {value.name for value in model.graph.output if _is_float(values.get(value.name))} & _made(model)
    carried = set(guards)
    for node in reversed(model.graph.node):
        lost = set(tensors).intersection(node.output) - carried
        guards |= lost
        carried |= lost
        if _carries(node) and carried.issuperset(name for name in node.output if name):
            carried.update(node.input)
    return sorted(guards | (set(tensors) - carried))


def _carries(node: NodeProto) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in ("Conv", "AveragePool"):  # a stride may step over values
        return all(step == 1 for item in node.attribute if item.name == "strides" for step in item.ints)
    return node.op_type in _CARRYING


def _images_of_relu(model: ModelProto, values: Mapping[str, ValueInfoProto]) -> set[str]:
    """What Relus make that has four dimensions, in float32."""
    made = [name for node in model.graph.node if node.op_type == "Relu" for name in node.output if name in values]
    types = {name: values[name].type.tensor_type for name in made}
    return {name for name, of in types.items() if of.elem_type == TensorProto.FLOAT and len(of.shape.dim) == 4}


def _made(model: ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.output}


def _is_float(value: ValueInfoProto | None) -> bool:
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    return value is not None and value.type.tensor_type.elem_type in kinds


def _runtime_errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises: classes of its own, without a common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    named = (item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception))
    return (*named, RuntimeError, ValueError)


def _translated(error: Exception, what: str) -> OakmillError:
    return PreparationFailed(f"The model cannot be {what}: {(str(error).splitlines() or [type(error).__name__])[0]}")
