"""Giving every input a fixed shape, and every tensor behind it the shape that follows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, TensorShapeProto, ValueInfoProto
from onnx.shape_inference import InferenceError

from oakmill.errors import DynamicShape, PreparationFailed, SpecError, UnsupportedModel
from oakmill.graph import equality
from oakmill.graph.naming import name_nodes, plain_domain
from oakmill.graph.skeleton import dimensions, freeze, infer_shapes, source_inputs
from oakmill.model.tensors import forget_placeholders

Shape = tuple[int, ...]

_NODE = re.compile(r"op_type:(?P<op>[^,)]*)(?:, node name: (?P<name>[^)]*))?")
_USUAL_SIDE = 320


@dataclass(frozen=True)
class Fixed:
    """A model with fixed input shapes, and what was decided on the way, one sentence each."""

    model: ModelProto
    notes: tuple[str, ...] = ()


def fix_input_shapes(model: ModelProto, shapes: Mapping[str, Shape]) -> Fixed:
    """Give the inputs named in `shapes` these shapes and infer all others anew; in place.

    A symbolic dimension gets the same number wherever it occurs. An open batch (the first dimension, all others
    fixed) becomes 1 without being asked, which a note says. Initializers are taken off the list of inputs,
    and every node gets a name of its own and the plain domain (`naming`), so that errors can name it.

    Raises:
        SpecError: an unknown input, the wrong rank, or a conflict with a dimension that the model fixes.
        DynamicShape: a dimension is still open; the remedy shows the option that fixes it.
        UnsupportedModel: an input is not a tensor.
        PreparationFailed: the shapes contradict the graph, which cannot run with them; names the node.
    """
    forget_placeholders(freeze(model))
    plain_domain(model)
    renamed = name_nodes(model)
    inputs = source_inputs(model)
    _check_request(inputs, shapes)
    symbols = _symbol_sizes(inputs, shapes)
    notes = [*_default_batches(inputs, shapes, symbols)]
    for value in inputs:
        _set(value, _resolve(value, shapes.get(value.name), symbols))
    for value in model.graph.output:
        _substitute(value.type.tensor_type.shape, symbols)
    notes.extend(_infer(model))
    notes.extend(f"Another node is called {old!r} too: it is {new!r} from here on." for new, old in renamed.items())
    return Fixed(model, tuple(notes))


def _check_request(inputs: Sequence[ValueInfoProto], shapes: Mapping[str, Shape]) -> None:
    names = [value.name for value in inputs]
    for name in shapes:
        if name not in names:
            known = ", ".join(map(repr, names))
            raise SpecError(f"The model has no input {name!r}.", subject=name, remedy=f"Its inputs are: {known}.")
    for value in inputs:
        if not value.type.tensor_type.elem_type:
            raise UnsupportedModel(f"Input {value.name!r} is not a tensor.", subject=value.name)
        if value.name in shapes:
            _check_shape(value, shapes[value.name])


def _check_shape(value: ValueInfoProto, asked: Shape) -> None:
    known = dimensions(value.type.tensor_type)
    if any(size < 1 for size in asked):
        raise SpecError(f"Input {value.name!r}: {_text(asked)} is not a shape.", subject=value.name)
    if known is None:
        return
    if len(asked) != len(known):
        raise SpecError(
            f"Input {value.name!r} has {len(known)} dimensions ({_text(_labels(value))}), "
            f"the shape asked for has {len(asked)} ({_text(asked)}).",
            subject=value.name,
        )
    for axis, (size, wanted) in enumerate(zip(known, asked, strict=True)):
        if size is not None and size != wanted:
            raise SpecError(
                f"Input {value.name!r}: dimension {axis} is {size} in the model, {wanted} was asked for.",
                subject=value.name,
                remedy=f"Ask for a shape that fits {_text(_labels(value))}, or export the model with another one.",
            )


def _symbol_sizes(inputs: Iterable[ValueInfoProto], shapes: Mapping[str, Shape]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for value in inputs:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False):
            if dim.dim_param and sizes.setdefault(dim.dim_param, size) != size:
                raise SpecError(
                    f"Dimension {dim.dim_param!r} is one number throughout the model, but {sizes[dim.dim_param]} "
                    f"and {size} were asked for.",
                    subject=value.name,
                )
    return sizes


def _default_batches(
    inputs: Iterable[ValueInfoProto], shapes: Mapping[str, Shape], symbols: dict[str, int]
) -> Iterator[str]:
    """Set the open batches to 1 in `symbols` and in the inputs; yields a note on each.

    Raises:
        DynamicShape: a batch is 0.
    """
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        open_axes = [i for i, dim in enumerate(dims) if dim.dim_value < 1 and dim.dim_param not in symbols]
        if value.name in shapes or open_axes != [0] or len(dims) == 1:
            continue
        label = _labels(value)[0]
        if dims[0].HasField("dim_value") and dims[0].dim_value == 0:
            raise _without_elements(value)
        if dims[0].dim_param:
            symbols[dims[0].dim_param] = 1
        else:
            dims[0].dim_value = 1
        yield f"The open batch dimension {label!r} of input {value.name!r} was set to 1."


def _without_elements(value: ValueInfoProto) -> DynamicShape:
    """The error for a batch of 0, which is nothing, or an exporter's word for an open one: only a person knows."""
    asked = ",".join(["1", *(str(dim.dim_value) for dim in value.type.tensor_type.shape.dim[1:])])
    return DynamicShape(
        f"Input {value.name!r} has no elements: its first dimension is 0.",
        subject=value.name,
        remedy=f"Where that stands for an open batch, say so: --shape {value.name}={asked}",
    )


def _resolve(value: ValueInfoProto, asked: Shape | None, symbols: Mapping[str, int]) -> Shape:
    if asked is not None:
        return asked
    known = dimensions(value.type.tensor_type)
    if known is None:
        raise DynamicShape(
            f"Input {value.name!r} has no shape at all.",
            subject=value.name,
            remedy=f"Say which: --shape {value.name}=1,3,{_USUAL_SIDE},{_USUAL_SIDE}",
        )
    dims = value.type.tensor_type.shape.dim
    sizes = [size or symbols.get(dim.dim_param) for size, dim in zip(known, dims, strict=True)]
    if None in sizes:
        raise _still_open(value, sizes)
    return tuple(size for size in sizes if size is not None)


def _still_open(value: ValueInfoProto, sizes: Sequence[int | None]) -> DynamicShape:
    labels = _labels(value)
    names = ", ".join(repr(label) for label, size in zip(labels, sizes, strict=True) if size is None)
    usual = [1 if axis == 0 else _USUAL_SIDE if len(sizes) > 3 else 64 for axis in range(len(sizes))]
    example = ",".join(str(size or usual[axis]) for axis, size in enumerate(sizes))
    hint = " (most networks want multiples of 32: 320, 416, 640)" if len(sizes) > 3 else ""
    return DynamicShape(
        f"Input {value.name!r} has open dimensions: {names} in {_text(labels)}.",
        subject=value.name,
        remedy=f"Fix them: --shape {value.name}={example}{hint}",
    )


def _set(value: ValueInfoProto, shape: Shape) -> None:
    value.type.tensor_type.shape.CopyFrom(
        TensorShapeProto(dim=[TensorShapeProto.Dimension(dim_value=size) for size in shape])
    )


def _substitute(shape: TensorShapeProto, symbols: Mapping[str, int]) -> None:
    for dim in shape.dim:
        if dim.dim_param in symbols:
            dim.dim_value = symbols[dim.dim_param]


def _infer(model: ModelProto) -> Iterator[str]:
    """Infer all shapes; where onnx finds a contradiction, onnxruntime is the judge, as onnx is wrong at times."""
    try:
        infer_shapes(model, strict=True)
    except InferenceError as error:
        where = _NODE.search(str(error))
        node = (where["name"] or where["op"]) if where else ""
        try:
            equality.run(model, equality.random_inputs(model))
        except PreparationFailed as failed:
            raise PreparationFailed(
                f"With these input shapes, the model contradicts itself: {failed.message}",
                subject=failed.subject or node,
                remedy="Ask for the shape that the model was trained on, or export it without fixed inner shapes.",
            ) from error
        infer_shapes(model)
        yield f"onnx finds a contradiction of shapes at node {node!r}, but onnxruntime runs the model."
    _complete_outputs(model)


def _complete_outputs(model: ModelProto) -> None:
    """Take the outputs' shapes that onnx could not infer from onnxruntime, which folds constants on the way."""
    if all(None not in (dimensions(value.type.tensor_type) or (None,)) for value in model.graph.output):
        return
    try:
        shapes = equality.Session(model).output_shapes()
    except PreparationFailed:  # the proof will run into the same, and say so
        return
    for value in model.graph.output:
        shape = tuple(size for size in shapes[value.name] if size is not None)
        if len(shape) == len(shapes[value.name]):
            _set(value, shape)


def _labels(value: ValueInfoProto) -> list[int | str]:
    return [dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim]


def _text(shape: Iterable[int | str]) -> str:
    return ",".join(map(str, shape))
