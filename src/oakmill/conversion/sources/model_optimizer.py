"""Mo Args: what the user's Model Optimizer arguments change in a conversion, and mo's run on the prepared graph.

What an argument says of an input's shape, mean, scale or colours goes into the inputs as they are decided, where it
wins over the other options; so all that is proved and measured later is fed by what is in force. When mo arguments
name any preprocessing, mo embeds all of it, and what the other options say is added to its command line: half of it
here and half there could not keep the order (reverse, mean, scale).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from pydantic import ValidationError

from oakmill.conversion.events import Progress
from oakmill.conversion.inputs import ResolvedInput, guess_layout
from oakmill.conversion.prepare import Prepared
from oakmill.errors import CompileFailed, SpecError
from oakmill.graph.outputs import own_nodes
from oakmill.model import merge_inputs
from oakmill.model.source import Tensor
from oakmill.settings import Settings
from oakmill.spec import Encoding, InputSpec, wrong
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.model_optimizer import options as mo
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer

_OPPOSITE = {Encoding.RGB: Encoding.BGR, Encoding.BGR: Encoding.RGB}
_COLOURS = 3


@dataclass(frozen=True)
class MoStep:
    """The Model Optimizer's part in one conversion."""

    options: mo.MoOptions
    toolchain: ModelOptimizer

    @classmethod
    def of(cls, arguments: Sequence[str], settings: Settings) -> MoStep | None:
        """The step that these arguments ask for, None where there are none.

        Raises:
            ArgumentRefused: an argument cannot be carried out.
            ToolchainMissing: mo is not installed.
        """
        if not arguments:
            return None
        step = cls(mo.read(arguments), ModelOptimizer(settings))
        step.toolchain.require()
        return step

    def inputs(
        self, asked: tuple[InputSpec, ...], tensors: Sequence[Tensor], progress: Progress
    ) -> tuple[InputSpec, ...]:
        """The inputs with what the arguments say of them; `asked` has one for each of `tensors`, in their order.

        Raises:
            SpecError: an argument names no input, or not all of them, or says what cannot be.
        """
        self._check_names([tensor.name for tensor in tensors])
        merged = merge_inputs(self._stated([tensor.name for tensor in tensors]), asked)
        said = sorted(name for name, origin in merged.origins.items() if origin == "user")
        if said := [*said, *(["reversed channels"] if self.options.reverse else [])]:
            progress.note(f"from the Mo Args: {', '.join(said)}")
        if not self.options.reverse:
            return merged.inputs
        pairs = list(zip(merged.inputs, tensors, strict=True))
        if not any(_has_colours(*pair) for pair in pairs):
            raise SpecError(
                "mo argument --reverse_input_channels: no input is an image of three channels",
                remedy="omit it, or give the layout of the input: --layout NAME=NHWC",
            )
        return tuple(_reversed(item) if _has_colours(item, tensor) else item for item, tensor in pairs)

    def _check_names(self, names: Sequence[str]) -> None:
        if self.options.inputs and sorted(self.options.inputs) != sorted(names):
            raise SpecError(
                f"mo argument --input names {', '.join(self.options.inputs)}, but the model's inputs are "
                f"{', '.join(names)}; it cannot begin elsewhere",
                remedy="name all inputs, or omit --input",
            )

    def _stated(self, names: Sequence[str]) -> tuple[InputSpec, ...]:
        """What the arguments state of each input; a value without a name is that of the only input."""
        options = self.options
        scales = dict.fromkeys(names, (float(options.scale),)) if options.scale else options.scales
        found: dict[str | None, dict[str, Any]] = {}
        fields = {"shape": options.shapes, "mean_values": options.means, "scale_values": scales}
        for field, values in fields.items():
            for name, value in values.items():
                key = name or (names[0] if len(names) == 1 else None)
                found.setdefault(key, {"name": key})[field] = value
        try:
            return tuple(map(InputSpec.model_validate, found.values()))
        except ValidationError as error:
            raise SpecError(f"mo arguments: {wrong.first_of(error.errors())[1]}") from None

    def graph(self, prepared: Prepared) -> onnx.ModelProto:
        """The graph that mo is given: without the preprocessing, where mo embeds it."""
        return own_nodes(prepared.plain if self.options.preprocess else prepared.model)

    def arguments(self, prepared: Prepared) -> list[str]:
        """The user's arguments, and what the other options add to them.

        Raises:
            SpecError: mo cannot do to some inputs what it is not to do to others.
        """
        options, inputs = self.options, prepared.inputs
        words: list[str] = []
        if options.inputs:
            words += ["--input", ",".join(options.inputs)]
        if options.shapes:
            shapes = {item.name: item.shape for item in inputs}
            names = options.inputs or tuple(shapes)
            words += ["--input_shape", ",".join(_bracketed(shapes[name]) for name in names)]
        if options.outputs:
            words += ["--output", ",".join(tensor.name for tensor in prepared.outputs)]
        if options.preprocess:
            words += self._preprocessing(inputs)
        return words + [word for pair in options.others for word in pair if word is not None]

    def _preprocessing(self, inputs: Sequence[ResolvedInput]) -> list[str]:
        words = ["--source_layout", _named(inputs, lambda item: item.layout, "({})")]
        if any(item.mean for item in inputs):
            words += ["--mean_values", _named(inputs, lambda item: _bracketed(item.mean))]
        if self.options.scale:
            words += ["--scale", self.options.scale]
        elif any(item.scale for item in inputs):
            words += ["--scale_values", _named(inputs, lambda item: _bracketed(item.scale))]
        return words + (["--reverse_input_channels"] if _all_reversed(inputs) else [])

    def run(self, prepared: Prepared, graph: Path, job: Path, progress: Progress) -> Path:
        """Run mo on the saved graph; the network's .xml, with its .bin beside it.

        Raises:
            CompileFailed: mo could not convert it; the message holds mo's own words.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        progress.note(shlex.join(self.command(prepared)))
        progress.doing("running the Model Optimizer")
        try:
            return self.toolchain.convert(graph, job, self.arguments(prepared), watch=progress.tool)
        except RunnerError as error:
            raise CompileFailed(
                f"the Model Optimizer could not convert the model: {error.message}",
                remedy="change the Mo Args, or convert without them; -v shows all that mo says",
                log=error.log,
            ) from error

    def command(self, prepared: Prepared) -> list[str]:
        """The command line, without the folders of this machine."""
        return ["mo", "--input_model", "prepared.onnx", *self.arguments(prepared)]


def _has_colours(item: InputSpec, tensor: Tensor) -> bool:
    """Whether mo would reverse this input's channels."""
    shape = [size if isinstance(size, int) else 0 for size in item.shape or tensor.shape]
    layout = item.layout or guess_layout(shape)
    is_image = set("CHW") <= set(layout) and len(layout) == len(shape)
    return is_image and shape[layout.index("C")] == _COLOURS


def _reversed(item: InputSpec) -> InputSpec:
    """The input with the camera's colours the other way round than the model's; what is said of either stands.

    Raises:
        SpecError: it is said to have no colours.
    """
    came, goes = item.encoding_from, item.encoding_to
    if {came, goes} & {Encoding.GRAY, Encoding.NONE}:
        raise SpecError(
            f"mo argument --reverse_input_channels reverses input {item.name!r}, whose encoding is {came or goes}",
            subject=item.name or "",
            remedy="omit one of the two",
        )
    came = came or (_OPPOSITE[goes] if goes else Encoding.RGB)
    return item.model_copy(update={"encoding_from": came, "encoding_to": _OPPOSITE[came]})


def _all_reversed(inputs: Sequence[ResolvedInput]) -> bool:
    """Whether mo is to reverse channels, which it does to all inputs that have three."""
    suitable = [item for item in inputs if "C" in item.layout and item.channels == _COLOURS]
    others = [item.name for item in suitable if not item.reverse_channels]
    if others and len(others) < len(suitable):
        raise SpecError(
            f"mo reverses the channels of all inputs that have three, but those of {others[0]!r} are to stay",
            subject=others[0],
            remedy="give mean and scale as --mean-values NAME=... and --scale-values NAME=... in place of Mo Args",
        )
    return bool(suitable) and not others


def _named(inputs: Sequence[ResolvedInput], text: Callable[[ResolvedInput], str], form: str = "{}") -> str:
    """The text on each input, where there is one, with the input's name where there are several."""
    if len(inputs) == 1:
        return text(inputs[0])
    said = {item.name: text(item) for item in inputs}
    return ",".join(name + form.format(words) for name, words in said.items() if words)


def _bracketed(values: Sequence[float] | None) -> str:
    """Numbers as mo reads them, without an exponent; nothing where there are none."""
    numbers = ",".join(np.format_float_positional(value, trim="-") for value in values or ())
    return f"[{numbers}]" if numbers else ""
