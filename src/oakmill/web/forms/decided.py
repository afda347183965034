"""What a conversion decides of each input by what the form says: whether its values fit, and its colours in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oakmill.conversion.inputs import ResolvedInput, guess_layout, resolve
from oakmill.errors import SpecError
from oakmill.model import merge_inputs
from oakmill.model.source import Tensor
from oakmill.spec import Encoding, InputSpec
from oakmill.web.forms.source import Source

_OPEN = 2
"""Stands for a dimension that is open: as a batch or a side it changes nothing of colours, and it is no colour's."""


def inputs_of(asked: Sequence[InputSpec], source: Source) -> Iterator[ResolvedInput | SpecError | None]:
    """For each of the source's inputs what becomes of it, what does not fit, or None where its channels are open."""
    said = tuple(map(InputSpec.model_validate, source.archive))
    try:
        merged = merge_inputs(tuple(asked), said).inputs
    except SpecError as error:
        yield error
        return
    for item, tensor in zip(merged, source.tensors, strict=True):
        yield _one(item, tensor)


def _one(item: InputSpec, tensor: Mapping[str, Any]) -> ResolvedInput | SpecError | None:
    given = item.shape or tuple(tensor["shape"])
    shape = tuple(side if isinstance(side, int) else _OPEN for side in given)
    layout = item.layout or guess_layout(shape)
    if len(layout) == len(given) and "C" in layout and not isinstance(given[layout.index("C")], int):
        return None
    try:
        return resolve(item, Tensor(tensor["name"], shape, tensor["dtype"]))
    except SpecError as error:
        return error


def in_words(item: ResolvedInput) -> str:
    """What is done with the colours of an input's images."""
    came_as, goes_as = item.encoding_from, item.encoding_to
    if goes_as is Encoding.NONE:
        return "Not an image: it is fed as it is."
    if goes_as is Encoding.GRAY:
        return "Gray images: there is no order of colours."
    if item.reverse_channels:
        return f"The model is fed {came_as}, and the camera gives {goes_as}: channels are reversed in the file."
    return f"The model is fed {came_as}, and so is the file: nothing is reversed."


def defaults(source: Source) -> list[dict[str, str]]:
    """For each input the words for its fields where nobody says anything."""
    return [_defaults(item) for item in inputs_of((), source)]


def _defaults(item: ResolvedInput | SpecError | None) -> dict[str, str]:
    if not isinstance(item, ResolvedInput):
        return {}
    camera = "as cameras give" if item.encoding_to is Encoding.BGR else "as the model"
    return {
        "layout": f"{item.layout}, by its shape",
        "encoding_from": f"{item.encoding_from}, as nothing says otherwise",
        "encoding_to": f"{item.encoding_to}, {camera}",
        "mean_values": "none",
        "scale_values": "none",
    }
