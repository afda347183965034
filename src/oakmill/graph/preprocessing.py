"""Putting an input's preprocessing into the model, so that it takes the camera's raw pixels.

On raw pixels: reverse the channels, subtract the mean, divide by the scale. Mean and scale are in the channel order
of the source model, which is the order after the reversal.

The reversal goes into the weights of the first convolutions, directly or behind a Transpose, where it is exact and
costs nothing; where the input feeds anything else, a Gather along the channels does it (one stage more on RVC2, where
Split and Concat took three on YOLOX). Mean and scale become a Mul by 1/scale and an Add of -mean/scale, as OpenVINO's
Model Optimizer writes them. Folding these too would gain nothing: on SqueezeNet, ResNet-18 and an SSD the RVC2
compiler makes as many stages with them as without, in the same time, and in a convolution that pads, the mean could
not be folded without changing the border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from oakmill.errors import SpecError
from oakmill.graph.rewriting import CannotRewriteError, Scope, attributes, set_attributes
from oakmill.graph.skeleton import all_graphs, copy_of, dimensions, infer_shapes, source_inputs

Array = NDArray[Any]


@dataclass(frozen=True)
class Preprocessing:
    """What happens to one input's raw data before the source model sees it.

    `layout` has one letter for each dimension (NCHW, NHWC); channels are C. `mean` and `scale` have one value for
    all channels or one for each. `gray` says that the model takes one channel, which nothing can reverse.
    """

    name: str
    layout: str
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    reverse_channels: bool = False
    gray: bool = False

    @property
    def reverses(self) -> bool:
        """Whether the order of the channels changes."""
        return self.reverse_channels and not self.gray

    @property
    def is_neutral(self) -> bool:
        """Whether raw data goes into the source model as it is."""
        return not self.reverses and not any(self.mean or ()) and set(self.scale or ()) <= {1.0}

    def axis(self) -> int:
        """The dimension of the channels.

        Raises:
            SpecError: the layout has no C.
        """
        if "C" not in self.layout:
            raise SpecError(
                f"Input {self.name!r}: layout {self.layout} has no channels (C), which the preprocessing needs.",
                subject=self.name,
                remedy="Say what its dimensions mean, for example --layout NCHW.",
            )
        return self.layout.index("C")


def embed(model: ModelProto, inputs: Sequence[Preprocessing]) -> ModelProto:
    """Put the preprocessing of `inputs` into the model: a copy, whose inputs keep names, shapes and types.

    Raises:
        SpecError: no such input, two preprocessings for one, a layout or a number of values that does not fit it,
            a reversal of other than three channels, or arithmetic on an input of integers.
    """
    names = [item.name for item in inputs]
    values = {value.name: value for value in source_inputs(model)}
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"Input {name!r} is given two preprocessings.", subject=name)
        if name not in values:
            raise SpecError(f"The model has no input {name!r}.", subject=name)
    changing = [item for item in inputs if not item.is_neutral]
    if not changing:
        return model
    model = copy_of(model)
    for item in changing:
        _embed(model, item, values[item.name])
    return infer_shapes(model)


def apply(array: Array, item: Preprocessing) -> Array:
    """The same preprocessing in numpy: raw data in, what the source model is fed out (float32 after arithmetic)."""
    if item.is_neutral:
        return array
    if item.reverses:
        array = np.flip(array, item.axis())
    if item.mean is None and item.scale is None:
        return array
    mean, scale = (_values(item, field, array.shape) for field in ("mean", "scale"))
    return np.asarray((array - mean) / scale, np.float32)


def _values(item: Preprocessing, field: str, shape: Sequence[int | None]) -> Array:
    """Mean or scale as float64, shaped to go with the input: (1, C, 1, 1) for NCHW, all ones for one value."""
    values = getattr(item, field) or ((0.0,) if field == "mean" else (1.0,))
    if len(values) == 1:
        return np.full([1] * len(shape), values[0], np.float64)
    axis = item.axis()
    if len(values) != shape[axis]:
        channels = shape[axis] or "an open number of"
        raise SpecError(
            f"Input {item.name!r} has {channels} channels, but {len(values)} {field} values were given.",
            subject=item.name,
            remedy=f"Give one value, or {channels}.",
        )
    return np.array(values, np.float64).reshape([-1 if i == axis else 1 for i in range(len(shape))])


def _check(item: Preprocessing, shape: Sequence[int | None], dtype: np.dtype[Any]) -> None:
    if len(shape) != len(item.layout):
        raise SpecError(
            f"Input {item.name!r} has {len(shape)} dimensions, its layout {item.layout} names {len(item.layout)}.",
            subject=item.name,
        )
    if item.reverses and shape[item.axis()] != 3:
        raise SpecError(
            f"Input {item.name!r} has {shape[item.axis()]} channels; RGB and BGR have three.",
            subject=item.name,
            remedy="Give the input's encoding as GRAY or NONE, or its layout if the channels are elsewhere.",
        )
    if (item.mean or item.scale) and dtype.kind != "f":
        raise SpecError(f"Input {item.name!r} is {dtype}: mean and scale need a float input.", subject=item.name)


def _embed(model: ModelProto, item: Preprocessing, value: ValueInfoProto) -> None:
    scope = Scope(model)
    dtype = scope.dtype(item.name)
    shape = dimensions(value.type.tensor_type) or ()
    _check(item, shape, dtype)
    mean, scale = (_values(item, field, shape) for field in ("mean", "scale"))
    steps: list[tuple[str, Array]] = []
    if item.reverses and _fold_reversal(model, scope, item):
        mean, scale = (np.flip(values, item.axis()) for values in (mean, scale))
    elif item.reverses:
        steps.append(("Gather", np.array([2, 1, 0], np.int64)))
    if np.any(scale != 1):
        steps.append(("Mul", (1 / scale).astype(dtype)))
    if np.any(mean != 0):
        steps.append(("Add", (-mean / scale).astype(dtype)))
    _insert(model, scope, item, steps)


def _insert(model: ModelProto, scope: Scope, item: Preprocessing, steps: Sequence[tuple[str, Array]]) -> None:
    """Put a chain of nodes between an input and all that reads it."""
    users = list(_users(model, item.name))
    current = item.name
    for position, (op, constant) in enumerate(steps):
        name = scope.fresh(f"{item.name}/preprocessing/{op.lower()}")
        operand = scope.add_constant(constant, f"{name}/constant")
        node = helper.make_node(op, [current, operand], [name], name=name)
        if op == "Gather":
            set_attributes(node, axis=item.axis())
        model.graph.node.insert(position, node)
        current = name
    for node in users:
        for index, used in enumerate(node.input):
            if used == item.name:
                node.input[index] = current


def _users(model: ModelProto, name: str) -> Iterator[NodeProto]:
    for graph in all_graphs(model.graph):
        yield from (node for node in graph.node if name in node.input)


def _fold_reversal(model: ModelProto, scope: Scope, item: Preprocessing) -> bool:
    """Reverse the input channels of all convolutions behind an input, if there is nothing else behind it."""
    try:
        convs = list(_convolutions(model, scope, item.name, item.axis()))
    except CannotRewriteError:
        return False
    for weight in {conv.input[1] for conv in convs}:
        here = [conv for conv in convs if conv.input[1] == weight]
        shared = len(list(_users(model, weight))) > len(here)
        name = scope.set_constant(weight, np.flip(scope.constant(weight), 1), copy=shared)
        for conv in here:
            conv.input[1] = name
    return True


def _convolutions(model: ModelProto, scope: Scope, name: str, axis: int) -> Iterator[NodeProto]:
    """The convolutions that read `name`, whose channels are along `axis`, directly or behind a Transpose.

    Raises:
        CannotRewriteError: something else reads it too, or a convolution's weights cannot be reversed.
    """
    if any(value.name == name for value in model.graph.output):
        raise CannotRewriteError(f"{name!r} is an output")
    for node in _users(model, name):
        if node.op_type == "Transpose" and "perm" in attributes(node):
            yield from _convolutions(model, scope, node.output[0], attributes(node)["perm"].index(axis))
            continue
        plain = node.op_type == "Conv" and attributes(node).get("group", 1) == 1
        if not plain or axis != 1 or list(node.input).count(name) > 1:
            raise CannotRewriteError(f"{node.op_type} reads {name!r}")
        scope.constant(node.input[1])
        yield node
