"""Looks at a model's inputs before it is converted: open dimensions, strides, batch, types, colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from onnx import NodeProto, ValueInfoProto

from oakmill.findings import Finding, Severity
from oakmill.preflight import room
from oakmill.preflight.findings import Code
from oakmill.preflight.graph import Facts, argument, attributes
from oakmill.spec import Encoding, InputSpec
from oakmill.spec.platforms import PLATFORMS, PlatformFacts

USUAL_SIDES = (320, 416, 640, 224, 256, 192, 384, 448, 480, 512, 768, 1024)
"""Sides of images that networks are made for, the most usual first."""

_COLOURS = {Encoding.RGB, Encoding.BGR}
_IMAGE_CHANNELS = (1, 3, 4)
_SUGGESTED = 3
_LENGTH = 64
_UP = {"Resize", "Upsample", "ConvTranspose", "DepthToSpace"}

_BECOME_INT32 = ("int8", "int16", "uint16", "uint32")

Shape = tuple[int | None, ...]


def shapes_of(inputs: Sequence[ValueInfoProto], asked: Sequence[InputSpec]) -> dict[str, tuple[int, ...]]:
    """The shapes that are asked for, by input; one without a name is the only input's."""
    names = [value.name for value in inputs]
    found = {(item.name or (names[0] if len(names) == 1 else "")): item.shape for item in asked if item.shape}
    return {name: tuple(shape) for name, shape in found.items() if name in names and shape}


def stated(value: ValueInfoProto) -> Shape:
    """An input's shape as the model states it; exporters also write 0 and -1 for an open dimension."""
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)


def _is_nothing(value: ValueInfoProto) -> bool:
    """Whether the first of several dimensions is 0, in so many words."""
    dims = value.type.tensor_type.shape.dim
    return len(dims) > 1 and dims[0].HasField("dim_value") and dims[0].dim_value == 0


def total_stride(facts: Facts) -> int:
    """The largest factor by which the network makes its images smaller: sides should be multiples of it.

    Strides of convolutions and pools, steps of slices and blocks count up; what enlarges counts down.
    """
    strides = {value.name: 1.0 for value in facts.inputs}
    largest = 1.0
    for node in facts.nodes:
        before = max((strides.get(name, 0.0) for name in node.input), default=0.0)
        if before:
            after = before * _factor(node, facts)
            largest = max(largest, after)
            strides.update(dict.fromkeys(node.output, after))
    return max(1, round(min(largest, 1024)))


def _factor(node: NodeProto, facts: Facts) -> float:
    """How many times smaller a node makes a map; below 1 where it enlarges it."""
    given = attributes(node)
    stride, block = float(max([1, *(given.get("strides") or [])])), float(max(1, given.get("blocksize", 1)))
    plain = {
        "AveragePool": stride,
        "Conv": stride,
        "ConvTranspose": 1 / stride,
        "DepthToSpace": 1 / block,
        "LpPool": stride,
        "MaxPool": stride,
        "SpaceToDepth": block,
    }
    if node.op_type in ("Resize", "Upsample"):
        return 1 / _largest(facts, argument(node, 2 if node.op_type == "Resize" else 1), 2.0)
    return _largest(facts, argument(node, 4), 1.0) if node.op_type == "Slice" else plain.get(node.op_type, 1.0)


def _largest(facts: Facts, name: str, otherwise: float) -> float:
    values = facts.value(name) if name else None
    return float(abs(values).max()) if values is not None and values.size and values.any() else otherwise


def enlarges(facts: Facts) -> bool:
    """Whether the network makes maps larger again, and so has to fit them to earlier ones."""
    return any(node.op_type in _UP for node in facts.nodes)


def suggestion(shape: Shape, stride: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A whole shape in the place of one with open dimensions, and sides that would do for those of an image."""
    height, width = _sides(shape)
    fitting = tuple(side for side in USUAL_SIDES if side % stride == 0)[:_SUGGESTED] or (stride * 8,)
    filled = []
    for axis, size in enumerate(shape):
        if size is not None:
            filled.append(size)
        elif axis in (height, width):
            filled.append(fitting[0])
        elif axis == 0:
            filled.append(1)
        else:
            filled.append(3 if len(shape) == 4 else _LENGTH)
    open_sides = any(axis is not None and shape[axis] is None for axis in (height, width))
    return tuple(filled), fitting if open_sides else ()


def _sides(shape: Shape) -> tuple[int | None, int | None]:
    """The axes of height and width, for four dimensions: the channels stand first, or last."""
    if len(shape) != 4:
        return None, None
    last = shape[3] in _IMAGE_CHANNELS and shape[1] not in _IMAGE_CHANNELS
    return (1, 2) if last else (2, 3)


def _text(shape: Sequence[int | None]) -> str:
    return ",".join("?" if size is None else str(size) for size in shape)


def _edits(name: str, *, shapes: Sequence[Sequence[int]] = (), **fields: str) -> dict[str, list[dict[str, object]]]:
    """The remedy as edits of a spec, one of which is to be chosen: a shape of several, or values of fields."""
    found: list[dict[str, object]] = [{f"inputs.{name}.shape": list(shape)} for shape in shapes]
    if fields:
        found.append({f"inputs.{name}.{key}": value for key, value in fields.items()})
    return {"edits": found}


class Inputs:
    """The inputs of a model, with what is asked of them."""

    def __init__(self, facts: Facts, asked: Sequence[InputSpec]) -> None:
        self.values = facts.inputs
        self.facts = facts
        self.asked = {item.name or (self.values[0].name if self.values else ""): item for item in asked}
        self.shapes = shapes_of(self.values, asked)
        self.stride = total_stride(facts)

    def filled(self) -> dict[str, tuple[int, ...]]:
        """A shape for each input that states one: as asked, as stated, or as suggested."""
        found = {}
        for value in self.values:
            if value.type.tensor_type.HasField("shape"):
                found[value.name] = self.shapes.get(value.name) or suggestion(stated(value), self.stride)[0]
        return found

    def findings(self, platform: str) -> Iterator[Finding]:
        """All that is to be said of the inputs."""
        facts = PLATFORMS[platform]
        for value in self.values:
            yield from self._shape(value)
            if self._is_unused(value.name):
                yield Finding(
                    Code.UNUSED, Severity.NOTE,
                    f"input {value.name!r} is dropped: nothing in the network computes with it", subject=value.name,
                )  # fmt: skip
                continue
            yield from self._stride(value)
            yield from self._batch(value)
            yield from self._type(value, facts)
            yield from self._encoding(value)
            if facts.limits.channels_last:
                yield from self._rank(value, facts.title)

    def _is_unused(self, name: str) -> bool:
        """Whether a conversion drops it; a network that would be left without inputs keeps them."""
        used = self.facts.reads | {value.name for value in self.facts.graph.output}
        return name not in used and any(value.name in used for value in self.values)

    def _shape(self, value: ValueInfoProto) -> Iterator[Finding]:
        name, shape = value.name, stated(value)
        asked = self.shapes.get(name)
        yield from room.of_input(name, asked or shape)
        if value.type.tensor_type.HasField("shape") and not shape:
            yield Finding(
                Code.SCALAR, Severity.WARNING,
                f"input {name!r} is a single number without dimensions; the converted model takes one of shape [1]",
                subject=name, remedy="feed it with one dimension, or export the model with its value as a constant",
            )  # fmt: skip
        elif asked is not None:
            fits = len(asked) == len(shape) and all(a in (None, b) for a, b in zip(shape, asked, strict=True))
            if not fits:
                yield Finding(
                    Code.SHAPE, Severity.ERROR, f"input {name!r} is {_text(shape)}, asked for is {_text(asked)}",
                    subject=name, remedy=f"--shape {name}={_text(suggestion(shape, self.stride)[0])}",
                    evidence=_edits(name, shapes=self._suggested(shape)),
                )  # fmt: skip
        elif _is_nothing(value) and None not in shape[1:]:
            yield Finding(
                Code.OPEN_SHAPE, Severity.ERROR, f"input {name!r} has no elements: its first dimension is 0",
                subject=name, remedy=f"--shape {name}={_text((1, *shape[1:]))}, where 0 stands for an open batch",
                evidence=_edits(name, shapes=[(1, *(size or 1 for size in shape[1:]))]),
            )  # fmt: skip
        elif None in shape[1:] and not self._follows(value):
            filled, sides = suggestion(shape, self.stride)
            several = (
                f"; sides of {', '.join(map(str, sides))} are multiples of its stride {self.stride}" if sides else ""
            )
            yield Finding(
                Code.OPEN_SHAPE, Severity.ERROR, f"input {name!r} has open dimensions: {_text(shape)}{several}",
                subject=name, remedy=f"--shape {name}={_text(filled)}",
                evidence=_edits(name, shapes=self._suggested(shape)),
            )  # fmt: skip

    def _suggested(self, shape: Shape) -> list[tuple[int, ...]]:
        """Whole shapes in the place of an open one, one for each usual side that fits."""
        filled, sides = suggestion(shape, self.stride)
        around = _sides(shape)
        return [
            tuple(side if axis in around and shape[axis] is None else size for axis, size in enumerate(filled))
            for side in sides
        ] or [filled]

    def _follows(self, value: ValueInfoProto) -> bool:
        """Whether the open dimensions have names that another input's asked shape gives a number."""
        known = {
            dim.dim_param
            for other in self.values
            if other.name in self.shapes
            for dim in other.type.tensor_type.shape.dim
            if dim.dim_param
        }
        dims = value.type.tensor_type.shape.dim[1:]
        return all(dim.dim_value > 0 or dim.dim_param in known for dim in dims)

    def _stride(self, value: ValueInfoProto) -> Iterator[Finding]:
        asked = self.shapes.get(value.name)
        if asked is None or self.stride < 2 or not enlarges(self.facts):
            return
        sides = [axis for axis in _sides(asked) if axis is not None and asked[axis] % self.stride]
        if sides:
            better = list(asked)
            for axis in sides:
                better[axis] = max(self.stride, math.ceil(asked[axis] / self.stride) * self.stride)
            yield Finding(
                Code.STRIDE, Severity.WARNING,
                f"input {value.name!r} of {_text(asked)}: the network makes maps {self.stride} times smaller and "
                "enlarges them again, so sides that are no multiples may not fit, or shift what is found",
                subject=value.name, remedy=f"--shape {value.name}={_text(better)}",
                evidence=_edits(value.name, shapes=[tuple(better)]),
            )  # fmt: skip

    def _batch(self, value: ValueInfoProto) -> Iterator[Finding]:
        shape = self.shapes.get(value.name) or stated(value)
        if len(shape) > 1 and (shape[0] or 1) > 1:
            yield Finding(
                Code.BATCH, Severity.WARNING,
                f"input {value.name!r} ({_text(shape)}) takes {shape[0]} at once; DepthAI feeds one image at a time",
                subject=value.name, remedy="export the model with a batch of 1",
            )  # fmt: skip

    def _type(self, value: ValueInfoProto, facts: PlatformFacts) -> Iterator[Finding]:
        dtype = self.facts.dtype(value.name)
        if dtype == "object":
            yield Finding(
                Code.PORT_TYPE, Severity.ERROR, f"input {value.name!r} takes text, and a camera computes with numbers",
                subject=value.name, remedy="make numbers of it on the host, and export the model from there on",
            )  # fmt: skip
        elif dtype in _BECOME_INT32 and facts.limits.plain_numbers:
            yield Finding(
                Code.PORT_TYPE, Severity.WARNING,
                f"input {value.name!r} takes {dtype}; the converted model takes int32",
                subject=value.name,
                remedy="feed int32, or export the model with a float32 input: a camera's 16-bit depth goes in as FP16",
            )  # fmt: skip
        elif dtype in ("int64", "uint64", "float64"):
            kind = "numbers" if dtype == "float64" else "whole numbers"
            yield Finding(
                Code.WIDE_INTEGERS, Severity.WARNING,
                f"input {value.name!r} takes {kind} of 64 bits; the converted model takes "
                f"{'FP16' if dtype == 'float64' else '32 bits'}",
                subject=value.name,
                remedy="feed the narrower type on the camera, or cut the model after this input is used",
            )  # fmt: skip

    def _encoding(self, value: ValueInfoProto) -> Iterator[Finding]:
        asked = self.asked.get(value.name)
        shape = self.shapes.get(value.name) or stated(value)
        if asked is None or len(shape) != 4:
            return
        layout = asked.layout or ("NHWC" if _sides(shape) == (1, 2) else "NCHW")
        channels = shape[layout.index("C")] if "C" in layout else None
        named = {asked.encoding_from, asked.encoding_to} - {None}
        flags = f"--encoding-from {value.name}=RGB --encoding-to {value.name}=BGR"
        if channels == 3 and Encoding.GRAY in named:
            yield Finding(
                Code.ENCODING, Severity.WARNING,
                f"input {value.name!r} is said to be GRAY and has 3 channels: cameras' grey images have one",
                subject=value.name, remedy=flags,
                evidence=_edits(value.name, encoding_from="RGB", encoding_to="BGR"),
            )  # fmt: skip
        if channels not in (3, None) and named & _COLOURS:
            order = "GRAY" if channels == 1 else "NONE"
            yield Finding(
                Code.ENCODING, Severity.ERROR,
                f"input {value.name!r} has {channels} channel(s), which are in no {min(map(str, named))} order",
                subject=value.name, remedy=f"--encoding-from {value.name}={order}",
                evidence=_edits(value.name, encoding_from=order, encoding_to=order),
            )  # fmt: skip

    def _rank(self, value: ValueInfoProto, title: str) -> Iterator[Finding]:
        shape = self.shapes.get(value.name) or stated(value)
        if len(shape) != 4 and value.type.tensor_type.HasField("shape"):
            yield Finding(
                Code.RANK, Severity.WARNING,
                f"input {value.name!r} has {len(shape)} dimensions; DepthAI on {title} feeds images to inputs of "
                "four only, others by hand",
                subject=value.name,
                remedy="export the model with an image's four dimensions: batch, channels, height, width",
            )  # fmt: skip
