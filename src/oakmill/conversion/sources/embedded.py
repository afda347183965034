"""Keeps an OpenVINO IR from being preprocessed twice: what the Model Optimizer put into it is inside already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oakmill.conversion.inputs import guess_layout
from oakmill.findings import Finding, Severity
from oakmill.model.source import Embedded, SourceModel, Tensor
from oakmill.spec import Encoding, InputSpec

_COLOURS = {Encoding.RGB, Encoding.BGR}
_NAMED = re.compile(r"([^,()\[\]]+)[(\[]")  # data[123.7,116.3,103.5],other(127)


def respected(inputs: Sequence[InputSpec], source: SourceModel) -> tuple[tuple[InputSpec, ...], tuple[Finding, ...]]:
    """The inputs as an IR takes them, and what is to be told.

    An IR whose colour channels the Model Optimizer exchanged takes BGR, as cameras give it, unless the user or an NN
    Archive says otherwise. What they ask for wins, and is told where the IR does the same already.

    Args:
        inputs: one for each input of the source, with its name.
        source: of any format; all but an IR have nothing embedded.
    """
    if source.embedded == Embedded():
        return tuple(inputs), ()
    tensors = {tensor.name: tensor for tensor in source.inputs}
    taken: list[InputSpec] = []
    told: list[Finding] = []
    for item in inputs:
        known = _taken(item, tensors[item.name or ""], source.embedded)
        taken.append(known)
        told += _told(item, known, source.embedded)
    return tuple(taken), tuple(told)


def _taken(item: InputSpec, tensor: Tensor, embedded: Embedded) -> InputSpec:
    """The input as BGR, where its channels are exchanged inside and nobody says what it takes."""
    layout = item.layout or guess_layout([size if isinstance(size, int) else 0 for size in tensor.shape])
    is_colour = {"C", "H", "W"} <= set(layout) and tensor.shape[layout.index("C")] == 3
    said_otherwise = item.encoding_from is not None or not {item.encoding_to, None} <= {*_COLOURS, None}
    if not embedded.reverse_channels or not is_colour or said_otherwise:
        return item
    return item.model_copy(
        update={"encoding_from": Encoding.BGR, "encoding_to": item.encoding_to or Encoding.BGR},
    )


def _told(asked: InputSpec, taken: InputSpec, embedded: Embedded) -> Iterator[Finding]:
    name = asked.name or ""
    exchanged = {asked.encoding_from, asked.encoding_to or Encoding.BGR} == _COLOURS
    if taken != asked:
        yield Finding(
            "ir_colours", Severity.NOTE,
            f"input {name!r}: the IR exchanges red and blue itself (reverse_input_channels of the Model Optimizer), so "
            f"it is taken as a BGR model", "colours are in the IR", subject=name,
        )  # fmt: skip
    elif embedded.reverse_channels and exchanged:
        yield Finding(
            "ir_colours_twice", Severity.WARNING,
            f"the IR exchanges red and blue of input {name!r} itself (reverse_input_channels of the Model Optimizer), "
            "and it is asked to be done in front of it once more", "colours are exchanged twice",
            remedy=f"--encoding-from {name}=BGR --encoding-to {name}=BGR, or omit both", subject=name,
        )  # fmt: skip
    for what, inside, given in (
        ("mean", embedded.mean, asked.mean_values),
        ("scale", embedded.scale, asked.scale_values),
    ):
        if given and _is_of(name, inside):
            yield Finding(
                f"ir_{what}_twice", Severity.WARNING,
                f"the IR applies {what} values to input {name!r} itself ({inside}), and they are asked for in front of "
                "it once more", f"{what} values are applied twice",
                remedy=f"omit --{what}-values, or give the IR that was made without them", subject=name,
            )  # fmt: skip


def _is_of(name: str, values: str) -> bool:
    """Whether values in the Model Optimizer's words are an input's: they name it, or none at all."""
    named = [word.strip() for word in _NAMED.findall(values)]
    return bool(values) and (not named or name in named)
